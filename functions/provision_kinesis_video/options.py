"""What a caller may ask of Kinesis Video Streams: every field of CreateStream, in snake_case.

The limits and patterns are those of "CreateStream" in the Amazon Kinesis Video Streams API reference, where a pattern
is of the whole value and its ``\\w`` is ASCII. botocore leaves them to the service, which tells one fault at a time.
"""

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from headwater.provider import Options

ID_TAG = "headwater:stream-id"
"""The tag that says whose stream it is."""

DEPLOYMENT_TAG = "headwater:deployment"
"""The tag that says which deployment made it: the only one that may take it for its own."""

MARKS = frozenset({ID_TAG, DEPLOYMENT_TAG})

CALLERS_TAGS = 48
"""The service allows a stream 50 ("TagStream" in the API reference), and two are ours."""

HOT = "HOT"
"""The storage tier of a stream that was asked for without one."""

MAX_RETENTION_HOURS = 87_600
"""Ten years ("UpdateDataRetention" in the API reference)."""

NAME = r"^[a-zA-Z0-9_.-]+$"
_ONE_MEDIA_TYPE = r"[a-zA-Z0-9_.+-]+/[a-zA-Z0-9_.+-]+"
MEDIA_TYPE = rf"^{_ONE_MEDIA_TYPE}(,{_ONE_MEDIA_TYPE})*$"
ONE_LINE = r"^[^\n\r\u0085\u2028\u2029]+$"
"""The service's ``.+``: a dot matches no line end, and in Java these are line ends."""


def _tag_characters(text: str) -> str:
    """The service's ``[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*``, which a JSON Schema's readers do not all understand."""
    if not all(character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN" for character in text):
        raise ValueError("may hold letters, digits, blanks and any of _ . : / = + - @ only")
    return text


def _unreserved(key: str) -> str:
    """``aws:`` belongs to AWS in upper and lower case ("Best practices and strategies", Tagging AWS Resources)."""
    if key.lower().startswith(("aws:", "headwater:")):
        raise ValueError("may not begin with aws: or headwater:, which are reserved")
    return key


type TagKey = Annotated[
    str, Field(min_length=1, max_length=128), AfterValidator(_tag_characters), AfterValidator(_unreserved)
]
type TagValue = Annotated[str, Field(max_length=256), AfterValidator(_tag_characters)]


class StreamStorageConfiguration(Options):
    """Where the stream's data is kept."""

    default_storage_tier: Literal["HOT", "WARM"] = Field(
        description="HOT for the quickest access; WARM costs less to keep and is billed for 30 days at least, however "
        "soon the data goes."
    )


class KinesisVideoOptions(Options):
    """CreateStream's request. What is not given, or null, is not sent: the service's default holds."""

    stream_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        pattern=NAME,
        description="The stream's name, unique in the account and region. Default: headwater-<the stream's id>.",
    )
    device_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        pattern=NAME,
        description="The name of the device that writes to the stream. The service keeps it and does not use it.",
    )
    media_type: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        pattern=MEDIA_TYPE,
        description="What the stream carries: one or more media types joined by commas without blanks, such as "
        "video/h264,audio/aac.",
    )
    kms_key_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        pattern=ONE_LINE,
        description="The KMS key that encrypts the stream's data: its id, ARN or alias. Default: aws/kinesisvideo.",
    )
    data_retention_in_hours: int | None = Field(
        default=None,
        ge=0,
        le=MAX_RETENTION_HOURS,
        description="How long data is kept, in hours. 0, the default, keeps none beyond the service's own buffer "
        "(5 minutes or 200 MB).",
    )
    tags: dict[TagKey, TagValue] | None = Field(
        default=None,
        max_length=CALLERS_TAGS,
        description=f"Tags for the stream, {CALLERS_TAGS} at most. Keys (1 to 128 characters) and values (up to 256) "
        "hold letters, digits, blanks and _ . : / = + - @. Keys that begin with aws: or headwater: are reserved; "
        f"Headwater adds {ID_TAG} and {DEPLOYMENT_TAG}.",
    )
    stream_storage_configuration: StreamStorageConfiguration | None = Field(
        default=None, description="Where the stream's data is kept. Default: the HOT tier."
    )


def can_be_asked_for(name: str, value: object) -> bool:
    """Whether an option may have this value."""
    try:
        KinesisVideoOptions.model_validate({name: value})
    except ValidationError:
        return False
    return True
