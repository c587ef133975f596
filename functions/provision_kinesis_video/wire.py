"""Kinesis Video's words: its request made from our options, its answers and exceptions told in ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore import exceptions as boto

from headwater import errors
from headwater.errors import Effect, Fault, ProviderError, Upstream
from headwater.provider import Order
from headwater.streams import State
from provision_kinesis_video.options import DEPLOYMENT_TAG, HOT, ID_TAG, KinesisVideoOptions

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo.type_defs import CreateStreamInputTypeDef

PROVIDER = "kinesis-video"

BUSY_SECONDS = 2.0
"""Between looks at a stream that is on its way to another state: a quarter second would pass the five calls a second
that a stream allows ("Service quotas" in the developer guide)."""

ACTIVE = "ACTIVE"
DELETING = "DELETING"
STATES = {
    "CREATING": State.PROVISIONING,
    ACTIVE: State.READY,
    "UPDATING": State.READY,
    DELETING: State.ENDED,
}
"""StreamInfo's Status ("StreamInfo" in the API reference). While it is UPDATING its media flows as before."""

NOT_FOUND = "ResourceNotFoundException"

MEANINGS: dict[str, type[ProviderError]] = {
    "AccountStreamLimitExceededException": errors.ProviderQuotaExceeded,
    "DeviceStreamLimitExceededException": errors.ProviderQuotaExceeded,
    "ResourceInUseException": errors.ProviderConflict,
    "VersionMismatchException": errors.ProviderConflict,
    "InvalidDeviceException": errors.ProviderRejected,
    "InvalidArgumentException": errors.ProviderRejected,
    "TagsPerResourceExceededLimitException": errors.ProviderRejected,
    "ClientLimitExceededException": errors.ProviderRateLimited,
    "OptInRequired": errors.ProviderNotEntitled,
    "SubscriptionRequiredException": errors.ProviderNotEntitled,
}
"""By exception: the seven of "CreateStream" in the API reference, what a change of a stream that was changed meanwhile
is refused with, and an account that has not the service."""

THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""What any AWS service may say when it throttles: botocore's standard retry mode."""

REFUSED_IDENTITY = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "NotAuthorizedException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""The role or its signature is refused, some with 400: "Common Errors" in the developer guide."""

NOT_SENT = (boto.EndpointConnectionError, boto.ConnectTimeoutError)
NO_IDENTITY = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.NoAuthTokenError,
    boto.SSOError,
)
LOST = (boto.HTTPClientError, boto.IncompleteReadError)

TAGS_FAULT = Fault("/options/tags", "too_long", "the service finds too many tags on this stream")

LONGEST_MESSAGE = 1000


@dataclass(frozen=True)
class Info:
    """What is read of a stream's description."""

    arn: str
    name: str
    status: str
    created_at: datetime | None = None
    version: str | None = None
    """Another one after each change but a tag's; a change says of which it is."""
    device_name: str | None = None
    media_type: str | None = None
    kms_key_id: str | None = None
    retention_hours: int = 0


def stream_name(order: Order[KinesisVideoOptions]) -> str:
    """The name the order is carried out under: the caller's, or one that no other order has."""
    return order.options.stream_name or f"headwater-{order.id}"


def marks_of(order: Order[KinesisVideoOptions]) -> dict[str, str]:
    """The tags that are ours."""
    return {ID_TAG: order.id, DEPLOYMENT_TAG: order.deployment}


def tags_of(order: Order[KinesisVideoOptions]) -> dict[str, str]:
    """Those that were asked for, and ours."""
    return {**(order.options.tags or {}), **marks_of(order)}


def creation(order: Order[KinesisVideoOptions]) -> "CreateStreamInputTypeDef":
    """CreateStream's request: what was given, and our marks."""
    asked = order.options
    request: CreateStreamInputTypeDef = {
        "StreamName": stream_name(order),
        "Tags": tags_of(order),
    }
    if asked.device_name is not None:
        request["DeviceName"] = asked.device_name
    if asked.media_type is not None:
        request["MediaType"] = asked.media_type
    if asked.kms_key_id is not None:
        request["KmsKeyId"] = asked.kms_key_id
    if asked.data_retention_in_hours is not None:
        request["DataRetentionInHours"] = asked.data_retention_in_hours
    if storage := asked.stream_storage_configuration:
        request["StreamStorageConfiguration"] = {"DefaultStorageTier": storage.default_storage_tier}
    return request


def text(answer: Mapping[str, Any], name: str) -> str | None:
    """A member that is a text with something in it."""
    value = answer.get(name)
    return value if isinstance(value, str) and value else None


def info(told: Mapping[str, Any]) -> Info | None:
    """A StreamInfo; None where it lacks what every stream has."""
    arn, name, status = text(told, "StreamARN"), text(told, "StreamName"), text(told, "Status")
    if not (arn and name and status):
        return None
    created_at, hours = told.get("CreationTime"), told.get("DataRetentionInHours")
    return Info(
        arn,
        name,
        status,
        created_at if isinstance(created_at, datetime) else None,
        text(told, "Version"),
        text(told, "DeviceName"),
        text(told, "MediaType"),
        text(told, "KmsKeyId"),
        hours or 0,
    )


def infos(answer: Mapping[str, Any]) -> list[Info]:
    """A page of ListStreams, as far as it can be read."""
    return [found for told in answer.get("StreamInfoList") or [] if (found := info(told))]


def state(status: str) -> State:
    """A status that is not documented is of a stream that is there."""
    return STATES.get(status, State.READY)


def tags(answer: Mapping[str, Any]) -> dict[str, str]:
    """A page of ListTagsForStream."""
    return {key: value for key, value in (answer.get("Tags") or {}).items() if isinstance(value, str)}


def tier(answer: Mapping[str, Any]) -> str:
    """DescribeStreamStorageConfiguration's; the service's default where it leaves it out."""
    return text(answer.get("StreamStorageConfiguration") or {}, "DefaultStorageTier") or HOT


@dataclass(frozen=True)
class Marks:
    """What of ours a stream's tags tell; None is not there."""

    stream_id: str | None
    deployment: str | None


def marks(tags: Mapping[str, str]) -> Marks:
    return Marks(text(tags, ID_TAG), text(tags, DEPLOYMENT_TAG))


def is_not_found(refusal: ProviderError) -> bool:
    return refusal.upstream is not None and refusal.upstream.code == NOT_FOUND


def refusal(error: boto.ClientError, *, changes: bool) -> ProviderError:
    """What the service's refusal means. ``changes`` says that the call was to change something."""
    told: Mapping[str, Any] = error.response.get("Error", {})
    about = error.response.get("ResponseMetadata", {})
    status, code = about.get("HTTPStatusCode"), _exception(told)
    kind = _meaning(code, status or 0)
    # What is said of a refused identity names the role. Where no exception is named, the message is the whole body.
    words = text(told, "Message") if code and kind is not errors.ProviderUnauthorized else None
    return kind(
        f"{PROVIDER} answered {status}" + (f": {words[:LONGEST_MESSAGE]}" if words else "."),
        effect=Effect.UNKNOWN if changes and kind is errors.ProviderUnavailable else Effect.NONE,
        faults=(TAGS_FAULT,) if code == "TagsPerResourceExceededLimitException" else (),
        upstream=Upstream(PROVIDER, status, code, about.get("RequestId")),
    )


def busy(how: str, upstream: Upstream | None = None) -> ProviderError:
    """What it means that the stream is ``how``: it is looked at again in a while."""
    return errors.ProviderUnavailable(f"{PROVIDER}: the stream is {how}.", retry_after=BUSY_SECONDS, upstream=upstream)


def there[T](found: T | None) -> T:
    """What was found of a stream. Raises ``ProviderUnavailable`` where it has gone since: the next look tells."""
    if found is None:
        raise busy("going")
    return found


def silence(error: boto.BotoCoreError, *, changes: bool) -> ProviderError:
    """What it means that botocore gave no answer. Its text, which may hold the endpoint, is not passed on."""
    if isinstance(error, NO_IDENTITY):
        return unanswered("the function has no credentials for it", errors.ProviderUnauthorized)
    if isinstance(error, NOT_SENT):
        return unanswered("it could not be reached")
    if isinstance(error, LOST) and changes:
        return unanswered("it did not answer in time", errors.ProviderOutcomeUnknown, effect=Effect.UNKNOWN)
    effect = Effect.UNKNOWN if changes else Effect.NONE
    return unanswered("it did not answer" if isinstance(error, LOST) else "the call failed", effect=effect)


def unreadable(*, changes: bool) -> ProviderError:
    """What it means that the answer cannot be understood."""
    if changes:
        return unanswered("its answer was unreadable", errors.ProviderOutcomeUnknown, effect=Effect.UNKNOWN)
    return unanswered("its answer was unreadable")


def unanswered(
    what: str, kind: type[ProviderError] = errors.ProviderUnavailable, *, effect: Effect = Effect.NONE
) -> ProviderError:
    """A failure without an answer to show."""
    return kind(f"{PROVIDER}: {what}.", effect=effect, upstream=Upstream(PROVIDER))


def _exception(told: Mapping[str, Any]) -> str | None:
    """The exception's name. botocore puts the HTTP status there if the answer names none."""
    code = text(told, "Code")
    return None if code is None or code.isdigit() else code


def _meaning(code: str | None, status: int) -> type[ProviderError]:
    if code in MEANINGS:
        return MEANINGS[code]
    if code in THROTTLED or status == 429:
        return errors.ProviderRateLimited
    if code in REFUSED_IDENTITY or status in (401, 403):
        return errors.ProviderUnauthorized
    if status >= 500 or status < 400:
        return errors.ProviderUnavailable
    return errors.ProviderRejected
