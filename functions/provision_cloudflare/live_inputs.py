"""The calls about live inputs, in Cloudflare's JSON."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from headwater.deadline import Deadline
from headwater.errors import ProviderError, ProviderOutcomeUnknown, ProviderUnavailable, Upstream
from headwater.http import Answer, ProviderClient
from provision_cloudflare import wire
from provision_cloudflare.refusals import explain, refuses
from provision_cloudflare.wire import CloudflareSecret

NAME = "cloudflare"
ID = re.compile("[0-9A-Za-z_-]{1,32}")
"""Of a live input or an output: at most 32 characters (API reference). Else ``..`` would name something else."""


class LiveInputs:
    """The live inputs of the account that the secret is of. ``ref`` is one's id."""

    def __init__(self, base_url: str, secret: Callable[[bool], CloudflareSecret]) -> None:
        self._secret = secret
        self._client = ProviderClient(NAME, base_url, lambda fresh: secret(fresh).headers(), explain, refuses)

    @property
    def account_id(self) -> str:
        """At most 32 characters."""
        return self._secret(False).account_id

    def call(self, method: str, deadline: Deadline, ref: str = "", below: str = "", **how: Any) -> Answer:
        """The answer of one of them, of what is ``below`` it, or of them all. ``how``: as of ``ProviderClient.call``.

        The call may be repeated unless ``how`` says otherwise. Raises the ``ProviderError`` that a refusal means.
        """
        one = f"/{quote(ref, safe='')}{below}" if ref else ""
        path = f"/accounts/{quote(self.account_id, safe='')}/stream/live_inputs{one}"
        return self._client.call(method, path, deadline, **{"repeatable": True, **how})

    def ask(self, method: str, deadline: Deadline, ref: str, below: str = "", **how: Any) -> Answer | None:
        """As ``call``; None where Cloudflare does not have it.

        What it answers for a deleted live input is not documented; 404 is what fits.
        """
        try:
            return self.call(method, deadline, ref, below, **how)
        except ProviderError as error:
            # One without an error code is not of its API, and tells nothing of the live input.
            if error.upstream and error.upstream.status == 404 and error.upstream.code:
                return None
            raise

    def listing(self, deadline: Deadline) -> wire.Listing:
        """Those that are shown. Raises ``ProviderUnavailable`` where the answer is no list."""
        answer = self.call("GET", deadline)
        try:
            return wire.listing(wire.granted(answer))
        except ValueError:
            raise unreadable(answer) from None


def unreadable(answer: Answer) -> ProviderUnavailable:
    """What to raise of an answer to a question."""
    return ProviderUnavailable(f"{NAME}: its answer was unreadable.", upstream=_upstream(answer))


def unclear(answer: Answer, what: str) -> ProviderOutcomeUnknown:
    """What to raise of an answer from which it cannot be told what was done."""
    return ProviderOutcomeUnknown(f"{NAME}: {what}.", upstream=_upstream(answer))


def _upstream(answer: Answer) -> Upstream:
    return Upstream(NAME, answer.status, request_id=answer.headers.get("cf-ray"))
