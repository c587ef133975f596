"""What can be asked of a stream, by pointer into a request: as it was asked for, as it is, and as one would ask for it.

What a caller cannot ask for is nobody's drift: the tags that are AWS's own, or that are reserved for us.
"""

from collections.abc import Mapping

from pydantic import JsonValue

from headwater.errors import Fault, ProviderRejected, Upstream
from headwater.provider import Order
from provision_kinesis_video import wire
from provision_kinesis_video.options import (
    CALLERS_TAGS,
    HOT,
    MARKS,
    KinesisVideoOptions,
    can_be_asked_for,
)

DEVICE_NAME = "/options/device_name"
MEDIA_TYPE = "/options/media_type"
RETENTION = "/options/data_retention_in_hours"
TAGS = "/options/tags"
"""Those that a caller may ask for. Each of our marks has a pointer of its own, below."""
STORAGE = "/options/stream_storage_configuration"
TIER = f"{STORAGE}/default_storage_tier"

DEFAULT_KEYS = {"alias/aws/kinesisvideo", "aws/kinesisvideo"}
"""The service's own, as it is described where none was asked for: an ARN that ends so."""


def wanted(order: Order[KinesisVideoOptions]) -> dict[str, JsonValue]:
    """How a stream is to be by this order, with the service's defaults."""
    asked, storage = order.options, order.options.stream_storage_configuration
    return {
        DEVICE_NAME: asked.device_name,
        MEDIA_TYPE: asked.media_type,
        RETENTION: asked.data_retention_in_hours or 0,
        TAGS: {**(asked.tags or {})},
        **{at_tag(key): value for key, value in wire.marks_of(order).items()},
        TIER: storage.default_storage_tier if storage else HOT,
    }


def described(info: wire.Info) -> dict[str, JsonValue]:
    """What a description tells of it."""
    return {DEVICE_NAME: info.device_name, MEDIA_TYPE: info.media_type, RETENTION: info.retention_hours}


def tagged(tags: Mapping[str, str]) -> dict[str, JsonValue]:
    """What its tags tell; None of a mark that is not there."""
    return {TAGS: {**callers(tags)}, **{at_tag(key): tags.get(key) for key in MARKS}}


def stored(tier: str) -> dict[str, JsonValue]:
    """What its storage configuration tells."""
    return {TIER: tier}


def options_of(info: wire.Info, tags: Mapping[str, str], tier: str) -> KinesisVideoOptions:
    """What one would ask for to have such a stream; without what nobody can ask for.

    Raises ``ProviderRejected`` where its tags leave no room for ours.
    """
    theirs = [key for key in tags if not key.lower().startswith("aws:") and key not in MARKS]
    if len(theirs) > CALLERS_TAGS:
        detail = f"it has {len(theirs)} tags, and with more than {CALLERS_TAGS} there is no room for ours"
        fault = Fault("/provider_ref", "too_many_tags", detail)
        raise ProviderRejected(f"{wire.PROVIDER}: {detail}.", faults=(fault,), upstream=Upstream(wire.PROVIDER))
    key = info.kms_key_id or ""
    told: dict[str, object] = {
        "stream_name": info.name,
        "device_name": info.device_name,
        "media_type": info.media_type,
        "kms_key_id": None if key.rpartition(":")[2] in DEFAULT_KEYS else key,
        "data_retention_in_hours": info.retention_hours or None,
        "tags": callers(tags) or None,
        "stream_storage_configuration": None if tier == HOT else {"default_storage_tier": tier},
    }
    return KinesisVideoOptions.model_validate(
        {name: value for name, value in told.items() if value is not None and can_be_asked_for(name, value)}
    )


def callers(tags: Mapping[str, str]) -> dict[str, str]:
    """Those that a caller can ask for."""
    return {key: value for key, value in tags.items() if can_be_asked_for("tags", {key: value})}


def at_tag(key: str) -> str:
    """The pointer to a tag (RFC 6901)."""
    return f"{TAGS}/{key.replace('~', '~0').replace('/', '~1')}"


def tag_at(pointer: str) -> str | None:
    """The tag that it points to; None where it is to none."""
    above, _, key = pointer.rpartition("/")
    return key.replace("~1", "/").replace("~0", "~") if above == TAGS else None
