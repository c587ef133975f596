"""What a caller asks for: read, checked with all its faults at once, and told apart from another request. Pure."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    Secret,
    SecretStr,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)
from pydantic_core import ErrorDetails

from headwater.errors import CapabilityNotSupported, Fault, InvalidRequest, MalformedBody
from headwater.provider import Options

BODY_BYTES = 64_000
DEPTH = 64
KEY_CHARACTERS = 255
MASK = "***"

type Body = dict[str, Any]
"""A JSON object with its floating-point numbers as ``Decimal``."""

MetadataKey = Annotated[str, Field(min_length=1, max_length=128)]
MetadataValue = Annotated[str, Field(max_length=1024)]


@dataclass(frozen=True)
class Terms:
    """What this deployment and the provider allow of every request."""

    lifetime_ceiling: int | None = None
    """Seconds; a stream is not to live longer."""
    leases: bool = True
    """Whether the provider's streams have leases."""


class LeaseRequest(BaseModel):
    """Who renews the lease."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)

    managed: bool = True
    """Headwater, or else the caller, by ``/keepalive``."""


class CreateRequest(BaseModel):
    """What every provider understands; ``options`` is the provider's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)

    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=50)] = Field(default_factory=dict)
    max_lifetime_seconds: Annotated[int, Field(ge=60, le=30 * 86_400)] | None = None
    lease: LeaseRequest | None = None

    @property
    def lease_is_managed(self) -> bool:
        """Whether a lease, if there is one, is ours to renew."""
        return self.lease is None or self.lease.managed

    @field_validator("max_lifetime_seconds")
    @classmethod
    def _keeps_to_the_ceiling(cls, seconds: int | None, info: ValidationInfo) -> int | None:
        ceiling = info.context.lifetime_ceiling if isinstance(info.context, Terms) else None
        if seconds and ceiling and seconds > ceiling:
            raise ValueError(f"a stream of this deployment lives for at most {ceiling} s")
        return seconds


class WholeRequest(CreateRequest):
    """With the options, of whatever type the provider's are."""

    options: Any


@dataclass(frozen=True)
class Wanted:
    """A request that was found valid."""

    common: CreateRequest
    options: Options
    fingerprint: str

    @property
    def public_options(self) -> dict[str, JsonValue]:
        """The options as they were given, secrets masked."""
        return split_secrets(self.options)[0]


def parse(body: str, options_type: Any, terms: Terms = Terms()) -> Wanted:
    """The request in a JSON body of at most ``BODY_BYTES``.

    Raises ``MalformedBody`` where it is no JSON object, ``InvalidRequest`` with every fault where it is a wrong one,
    ``CapabilityNotSupported`` where it is about a lease and there are none.
    """
    return check(read_json(body), options_type, terms)


def check(body: Body, options_type: Any, terms: Terms = Terms()) -> Wanted:
    """The request in ``body``. Raises as ``parse`` does."""
    request = {"options": {}} | plain(body)
    try:
        common = validated(request, options_type, terms)
    except ValidationError as error:
        faults = tuple(faults_of(error, request))
        raise InvalidRequest(f"The request has {len(faults)} fault(s).", faults=faults) from None
    if common.lease and not terms.leases:
        raise CapabilityNotSupported("The streams of this provider have no leases.")
    return Wanted(common, common.options, fingerprint(body))


def plain(body: Body) -> dict[str, Any]:
    """``body`` with numbers as Python has them. Raises ``InvalidRequest`` where it cannot be walked."""
    if not _fits(body):
        raise InvalidRequest(f"The request is nested deeper than {DEPTH}, or has half a character in it.")
    floats: dict[str, Any] = _floats(body)
    return floats


def validated(request: dict[str, Any], options_type: Any, terms: Terms) -> WholeRequest:
    """The request, with its ``options``. Raises pydantic's ``ValidationError``, which holds all its faults."""
    return request_model(options_type).model_validate(request, context=terms)


@cache
def request_model(options_type: Any) -> type[WholeRequest]:
    """``CreateRequest`` with the provider's options as one more field, so that one validation finds all faults."""
    return create_model("Request", __base__=WholeRequest, options=(options_type, ...))


def read_json(body: str) -> dict[str, Any]:
    """``body`` as a JSON object, its numbers exact. Raises ``MalformedBody``."""
    try:
        value = json.loads(body, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_object)
    except (ValueError, RecursionError, InvalidOperation):
        raise MalformedBody("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise MalformedBody("The body is JSON, but not an object.")
    return value


def _fits(body: dict[str, Any]) -> bool:
    """Whether it is shallow enough to be walked, and text throughout: half a surrogate pair is none."""
    level: list[Any] = [body]
    for _ in range(DEPTH):
        level = [
            member
            for value in level
            if isinstance(value, dict | list)
            for member in ([*value, *value.values()] if isinstance(value, dict) else value)
        ]
        if any(isinstance(value, str) and not _is_text(value) for value in level):
            return False
    return not level


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A member that is there twice has no one meaning."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is there twice")
    return members


def fingerprint(body: dict[str, Any]) -> str:
    """What tells one request from another: the JSON as it was sent, whatever its key order and number form.

    Over the body and never over a model with defaults: a deployment must not turn a replay into a conflict.
    """
    canonical = json.dumps(_canonical(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """``value`` with each number in the one form that its equals share, and told from a string with its digits."""
    if isinstance(value, dict):
        return {key: _canonical(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_canonical(member) for member in value]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        exact = Context(prec=BODY_BYTES)
        return f"n{exact.normalize(exact.plus(Decimal(value)))}"
    return f"s{value}" if isinstance(value, str) else value


def _floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _floats(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_floats(member) for member in value]
    return float(value) if isinstance(value, Decimal) else value


def faults_of(error: ValidationError, body: JsonValue = None) -> Iterator[Fault]:
    """Each fault with its pointer into ``body`` (as pydantic names the place, without one); never a value from it."""
    for each in error.errors(include_url=False, include_input=False):
        # What is there and of the wrong type is not absent: the last step is then pydantic's name for a type.
        may_be_absent = not each["type"].endswith("_type")
        yield Fault(pointer(each["loc"], body, may_be_absent), each["type"], _words(each))


def _words(error: ErrorDetails) -> str:
    """What is wrong; pydantic's own words, save where they repeat what was sent."""
    if error["type"] == "union_tag_invalid":
        return f"Input should be one of {error['ctx']['expected_tags']}"
    return error["msg"]


def pointer(location: tuple[int | str, ...], body: JsonValue, may_be_absent: bool) -> str:
    """The RFC 6901 pointer of a place in ``body``, or of the one where something is missing, if that may be.

    What pydantic adds for its own unions and keys is no place there.
    """
    if body is None:
        return "".join(f"/{step}" for step in location)
    here: Any = body
    steps: list[str] = []
    for number, step in enumerate(location):
        last = number == len(location) - 1
        if isinstance(here, dict) and (step in here or (last and may_be_absent and step != "[key]")):
            here = here.get(step)
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
        else:
            continue
        steps.append(escaped(step))
    return "".join(f"/{step}" for step in steps)


def escaped(step: int | str) -> str:
    """One step of an RFC 6901 pointer."""
    return str(step).replace("~", "~0").replace("/", "~1")


def split_secrets(options: Options) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """What was given, masked; and each secret value in it by its pointer."""
    secrets: dict[str, JsonValue] = {}
    return _mask(options.model_dump(mode="python", exclude_unset=True), "", secrets), secrets


def _mask(value: Any, at: str, secrets: dict[str, JsonValue]) -> Any:
    if isinstance(value, Secret | SecretStr):
        secrets[at] = value.get_secret_value()
        return MASK
    if isinstance(value, dict):
        return {key: _mask(member, f"{at}/{escaped(key)}", secrets) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_mask(member, f"{at}/{index}", secrets) for index, member in enumerate(value)]
    return value


def join_secrets(public: dict[str, JsonValue], secrets: dict[str, JsonValue], options_type: Any) -> Options:
    """The options that ``split_secrets`` took apart."""
    # By the model of a whole request: a bare union of options would quote a secret in its error.
    whole = request_model(options_type).model_validate({"options": _fill(public, "", secrets)})
    options: Options = whole.options
    return options


def _fill(value: JsonValue, at: str, secrets: dict[str, JsonValue]) -> JsonValue:
    if at in secrets:
        return secrets[at]
    if isinstance(value, dict):
        return {key: _fill(member, f"{at}/{escaped(key)}", secrets) for key, member in value.items()}
    if isinstance(value, list):
        return [_fill(member, f"{at}/{index}", secrets) for index, member in enumerate(value)]
    return value
