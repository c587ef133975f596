"""What Cloudflare's refusals mean."""

from headwater import errors
from headwater.errors import Fault, ProviderError
from headwater.http import Answer, Explanation
from provision_cloudflare.reading import Object, as_object, text
from provision_cloudflare.settings import KNOWN_AS

UNUSABLE_CREDENTIAL = frozenset({"6003", "6103", "9106"})
"""Error codes of a credential that Cloudflare cannot read, which it answers with 400 (third-party reports)."""


def refuses(answer: Answer) -> bool:
    """Whether the envelope says no, whatever the status."""
    return as_object(answer.body).get("success") is False


def explain(answer: Answer) -> Explanation:
    """What an envelope with ``errors`` means."""
    listed = as_object(answer.body).get("errors")
    found = [as_object(error) for error in listed] if isinstance(listed, list) else []
    codes = [str(error["code"]) for error in found if isinstance(error.get("code"), int)]
    messages = [message for error in found if (message := text(error, "message"))]
    return Explanation(
        code=codes[0] if codes else None,
        message="; ".join(messages) or None,
        request_id=answer.headers.get("cf-ray"),
        faults=tuple(fault for error in found if (fault := _fault(error))),
        kind=_kind(answer.status, codes),
    )


def _kind(status: int, codes: list[str]) -> type[ProviderError] | None:
    """A 404 that is not of a live input is of the account: the credential does not reach it."""
    if status < 300:
        return errors.ProviderRejected
    if status == 404:
        return errors.ProviderNotEntitled
    if status == 400 and UNUSABLE_CREDENTIAL.intersection(codes):
        return errors.ProviderUnauthorized
    return None


def _fault(error: Object) -> Fault | None:
    pointer = text(as_object(error.get("source")), "pointer")
    if not pointer:
        return None
    code = error.get("code")
    detail = text(error, "message") or "refused by Cloudflare"
    return Fault(_our_pointer(pointer), "provider-rejected" if code is None else str(code), detail)


def _our_pointer(theirs: str) -> str:
    """Where it is in the options. What is in ``meta`` has the caller's names."""
    first, *rest = theirs.lstrip("/").split("/")
    names = [first, *rest] if first == "meta" else [KNOWN_AS.get(name, name) for name in (first, *rest)]
    return "/" + "/".join(names)
