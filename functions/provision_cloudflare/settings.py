"""What a live input is asked to be, what it is, and what is sent to make the one into the other. Pure.

Source of the fields: Cloudflare's API reference, "Create a live input" and "Update a live input".
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from headwater.provider import Order
from provision_cloudflare.options import HEADWATER_DEPLOYMENT, HEADWATER_ID, CloudflareOptions, Recording
from provision_cloudflare.reading import Object, as_object, text

SENT_AS = {
    "default_creator": "defaultCreator",
    "delete_recording_after_days": "deleteRecordingAfterDays",
    "prefer_low_latency": "preferLowLatency",
    "allowed_origins": "allowedOrigins",
    "hide_live_viewer_count": "hideLiveViewerCount",
    "require_signed_urls": "requireSignedURLs",
    "timeout_seconds": "timeoutSeconds",
}
"""Our names and Cloudflare's, where they differ."""

KNOWN_AS = {theirs: ours for ours, theirs in SENT_AS.items()}

TOLD = ("enabled", "delete_recording_after_days", "prefer_low_latency")
"""The options of a single value that a live input tells. ``default_creator`` is never told."""

MARKS = frozenset({HEADWATER_ID, HEADWATER_DEPLOYMENT})
NAME = "name"
"""The key of ``meta`` that Cloudflare shows as the name."""
LONGEST_NAME = 256
"""Characters that a stream's name may have: a longer one stays in ``meta``."""


# ---- what is sent


def creation(order: Order[CloudflareOptions]) -> dict[str, JsonValue]:
    """The body of a create: what the caller gave, the name, and our marks."""
    given = order.options.model_dump(exclude_unset=True, exclude={"meta"})
    return {**_renamed(given), "meta": _meta(order)}


def alteration(order: Order[CloudflareOptions], changed: frozenset[str], live_input: Object) -> dict[str, JsonValue]:
    """The body of an update: those members of the top level that ``changed`` points at or into, each of them whole.

    What is left out there is kept; whether a member of ``recording`` would be is not documented.
    """
    wanted = order.options.model_dump(exclude={"meta"})
    wanted["recording"] = _recording(order, changed, live_input)
    body = _renamed({name: value for name, value in wanted.items() if _concerns(changed, f"/options/{name}")})
    if "/name" in changed or _concerns(changed, "/options/meta"):
        body["meta"] = _meta(order)
    return body


def marking(order: Order[CloudflareOptions], live_input: Object) -> dict[str, JsonValue]:
    """The body of an update that puts our marks, and the name if there is one, into ``meta`` as it is there."""
    ours = _meta(order)
    kept = {name: ours[name] for name in (NAME, *MARKS) if name in ours}
    return {"meta": {**as_object(live_input.get("meta")), **kept}}


def _meta(order: Order[CloudflareOptions]) -> dict[str, JsonValue]:
    """The whole of it: what the caller gave, the name, and our marks."""
    named: dict[str, JsonValue] = {NAME: order.name} if order.name else {}
    return {**named, **order.options.meta, HEADWATER_ID: order.id, HEADWATER_DEPLOYMENT: order.deployment}


def _recording(order: Order[CloudflareOptions], changed: frozenset[str], live_input: Object) -> dict[str, JsonValue]:
    """As it is there, save what changed and what is not told: somebody else's setting is not repaired unasked."""
    there = given_as(live_input).recording.model_dump(exclude_unset=True)
    kept = {name: value for name, value in there.items() if not _concerns(changed, f"/options/recording/{name}")}
    return {**order.options.recording.model_dump(), **kept}


def _concerns(changed: frozenset[str], at: str) -> bool:
    """Whether one of these is this, within it, or around it."""
    return any(f"{at}/".startswith(f"{one}/") or one.startswith(f"{at}/") for one in changed)


def _renamed(given: Mapping[str, Any]) -> dict[str, JsonValue]:
    return {
        SENT_AS.get(name, name): _renamed(value) if isinstance(value, dict) else value for name, value in given.items()
    }


# ---- what is compared


def wanted(order: Order[CloudflareOptions]) -> dict[str, JsonValue]:
    """What ``found`` should be by this order, by pointer into a request."""
    options = order.options.model_dump(include={*TOLD, "recording"})
    return _by_pointer({**options, "meta": _meta(order)})


def found(live_input: Object) -> dict[str, JsonValue]:
    """What a live input tells of itself, by pointer into a request; what it does not tell is left out."""
    return _by_pointer(_told(live_input))


def _by_pointer(options: Mapping[str, Any]) -> dict[str, JsonValue]:
    """``meta`` is one value: who may put what into it is its owner's affair. The order of origins means nothing."""
    flat = {f"/options/{name}": value for name, value in options.items() if name != "recording"}
    members = options.get("recording", {})
    return flat | {f"/options/recording/{name}": _unordered(value) for name, value in members.items()}


def _unordered(value: JsonValue) -> JsonValue:
    return sorted(value, key=str) if isinstance(value, list) else value


def _told(live_input: Object) -> dict[str, Any]:
    """Its options by our names, as they are there. In 2021 ``recording`` was called ``live``."""
    options = _members(live_input, CloudflareOptions, TOLD)
    if recording := as_object(live_input.get("recording") or live_input.get("live")):
        options["recording"] = _members(recording, Recording, Recording.model_fields)
    if "meta" in live_input:
        options["meta"] = dict(as_object(live_input["meta"]))
    return options


def _members(found: Object, model: type[BaseModel], names: Any) -> dict[str, JsonValue]:
    """Null stands for the default: of ``allowedOrigins``, for instance, it was seen."""
    told = {name: found[SENT_AS.get(name, name)] for name in names if SENT_AS.get(name, name) in found}
    return {n: model.model_fields[n].get_default() if value is None else value for n, value in told.items()}


# ---- what somebody else made


def given_as(live_input: Object) -> CloudflareOptions:
    """The options that it would have been made with; what they could not say is left out of them."""
    told = _told(live_input)
    meta = dict(told.get("meta", {}))
    if name_of(live_input):
        del meta[NAME]
    return _valid({**told, "meta": {name: value for name, value in meta.items() if name not in MARKS}})


def name_of(live_input: Object) -> str | None:
    """Its display name; None where it has none, or none that a stream could have."""
    name = text(as_object(live_input.get("meta")), NAME)
    return name if name and len(name) <= LONGEST_NAME else None


def mark(live_input: Object, name: str) -> str | None:
    """One of our marks on it, or somebody's who has the same."""
    return text(as_object(live_input.get("meta")), name)


def _valid(given: Mapping[str, Any]) -> CloudflareOptions:
    try:
        return CloudflareOptions.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
    for fault in faults:
        given = _without(given, fault["loc"])
    return _valid(given)


def _without(given: Mapping[str, Any], place: tuple[int | str, ...]) -> dict[str, Any]:
    """Less the innermost member that the place is in or at."""
    first, *rest = place
    inner = given.get(str(first))
    if rest and isinstance(inner, dict) and rest[0] in inner:
        return {**given, str(first): _without(inner, tuple(rest))}
    return {name: value for name, value in given.items() if name != first}
