"""What a caller may ask of Overshoot: a stream of v1beta (the default) or of the deprecated v0.2.

Names and bounds are the provider's own (providers' own docs: OpenAPI of v1beta, OpenAPI of v0.2).
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    SecretStr,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from headwater.provider import Options
from provision_overshoot.addresses import BARE, address

V1BETA = "v1beta"
V02 = "v0.2"

TOKENS_PER_SECOND = 128
"""What a model may write per second of the interval (providers' own docs: OpenAPI of v0.2, ``max_output_tokens``)."""


# ---- v1beta ----


class RtspSource(Options):
    """A camera that the provider pulls from."""

    type: Literal["rtsp"] = Field(description="RTSP.")
    url: Annotated[SecretStr, address("rtsp://", "rtsps://")] = Field(
        description="rtsp:// or rtsps:// address of a public host. A secret: it may hold the camera's password.",
        json_schema_extra={"pattern": "^rtsps?://"},
    )


class HlsSource(Options):
    """A playlist that the provider pulls."""

    type: Literal["hls"] = Field(description="HLS.")
    url: Annotated[SecretStr, address("http://", "https://")] = Field(
        description="http:// or https:// address of the playlist on a public host. A secret: it may hold a password.",
        json_schema_extra={"pattern": "^https?://"},
    )


class V1betaOptions(Options):
    """A stream of v1beta."""

    api_version: Literal["v1beta"] = Field(default="v1beta", description="The provider's current API; the default.")
    source: Annotated[RtspSource | HlsSource, Field(discriminator="type")] | None = Field(
        default=None,
        description="Where the provider pulls the video from, which it tries for up to 15 s. "
        "Without it the video is published to the LiveKit room that the answer names.",
    )


# ---- v0.2 ----


class ClipProcessing(Options):
    """Inference on clips. Their rate is ``target_fps``, or else the older ``fps`` with ``sampling_ratio``."""

    kind: ClassVar = "clip"

    clip_length_seconds: float = Field(ge=0.1, le=60, description="Length of a clip in seconds, 0.1 to 60.")
    delay_seconds: float = Field(gt=0, description="Seconds from one clip to the next, above 0.")
    fps: int | None = Field(
        default=None, gt=0, description="Older form: frames per second of the source. Goes with sampling_ratio."
    )
    sampling_ratio: float | None = Field(
        default=None,
        ge=0.1,
        le=1,
        validate_default=True,
        description="Older form: the part of the frames that is used, 0.1 to 1. Goes with fps.",
    )
    target_fps: int | None = Field(
        default=None,
        ge=1,
        le=30,
        validate_default=True,
        description="Frames per second that are used, 1 to 30. Instead of fps and sampling_ratio.",
    )

    @field_validator("sampling_ratio")
    @classmethod
    def _goes_with_fps(cls, ratio: float | None, info: ValidationInfo) -> float | None:
        if "fps" in info.data and (ratio is None) != (info.data["fps"] is None):
            raise ValueError("fps and sampling_ratio go together")
        return ratio

    @field_validator("target_fps")
    @classmethod
    def _goes_without_fps(cls, target: int | None, info: ValidationInfo) -> int | None:
        if "fps" in info.data and (target is None) == (info.data["fps"] is None):
            raise ValueError("exactly one is needed: target_fps, or fps with sampling_ratio")
        return target

    @property
    def every_seconds(self) -> float:
        """How often there is a result."""
        return self.delay_seconds


class FrameProcessing(Options):
    """Inference on single frames."""

    kind: ClassVar = "frame"

    interval_seconds: float = Field(gt=0, le=60, description="Seconds from one frame to the next, above 0, to 60.")

    @property
    def every_seconds(self) -> float:
        """How often there is a result."""
        return self.interval_seconds


def _kind_of_processing(processing: Any) -> str:
    """The provider has no field for it: only frames have an ``interval_seconds``."""
    names = processing if isinstance(processing, dict) else dir(processing)
    return FrameProcessing.kind if "interval_seconds" in names else ClipProcessing.kind


type Processing = Annotated[
    Annotated[ClipProcessing, Tag(ClipProcessing.kind)] | Annotated[FrameProcessing, Tag(FrameProcessing.kind)],
    Discriminator(_kind_of_processing),
]


class Inference(Options):
    """What the model is asked."""

    prompt: str = Field(min_length=1, description="What to ask about each clip or frame.")
    model: str = Field(min_length=1, description="One of the provider's models.")
    backend: Literal["overshoot", "gemini"] = Field(default="overshoot", description="Where the model runs.")
    output_schema_json: dict[str, JsonValue] | None = Field(
        default=None, description="JSON Schema of each result; without it a result is text."
    )
    max_output_tokens: int | None = Field(
        default=None,
        gt=0,
        description="Longest result, at most 128 tokens per second of interval_seconds or delay_seconds. "
        "Without it the provider takes that maximum.",
    )


class WebrtcSource(Options):
    """Video sent by WebRTC; the answer brings the SDP answer and TURN servers."""

    type: Literal["webrtc"] = Field(description="WebRTC.")
    sdp: SecretStr = Field(min_length=1, description="SDP offer. A secret: it holds ICE credentials.")


class LivekitSource(Options):
    """Video taken from a LiveKit room of the caller's."""

    type: Literal["livekit"] = Field(description="A LiveKit room of your own.")
    url: Annotated[str, BARE] = Field(min_length=1, description="Address of the LiveKit server, without any key.")
    token: SecretStr = Field(min_length=1, description="Token with which the provider joins the room. A secret.")


class NativeSource(Options):
    """Video published to a LiveKit room of the provider's, which the answer names."""

    type: Literal["native"] = Field(description="A LiveKit room of the provider's.")


class WebrtcOffer(Options):
    """The older form of a WebRTC source."""

    type: Literal["offer"] = Field(description="An SDP offer.")
    sdp: SecretStr = Field(min_length=1, description="SDP offer. A secret: it holds ICE credentials.")


class ClientNote(Options):
    """What the caller wants the provider to note."""

    request_id: str | None = Field(
        default=None, description="For tracking at the provider only; no idempotency key. Without it: the stream's id."
    )


class V02Options(Options):
    """A stream of v0.2, which the provider has deprecated."""

    api_version: Literal["v0.2"] = Field(description="The provider's deprecated API.")
    processing: Processing = Field(description="Clips or frames, told apart by their fields.")
    inference: Inference = Field(description="What the model is asked.")
    source: Annotated[WebrtcSource | LivekitSource | NativeSource, Field(discriminator="type")] | None = Field(
        default=None, description="Where the video comes from; native if there is none."
    )
    webrtc: WebrtcOffer | None = Field(
        default=None, description="Older form of a webrtc source; not together with source."
    )
    mode: Literal["clip", "frame"] | None = Field(
        default=None, description="As processing says; worked out from it if there is none."
    )
    client: ClientNote | None = Field(default=None, description="Noted by the provider for tracking.")

    @field_validator("inference")
    @classmethod
    def _keeps_to_the_token_rate(cls, inference: Inference, info: ValidationInfo) -> Inference:
        processing, tokens = info.data.get("processing"), inference.max_output_tokens
        if processing and tokens and tokens > TOKENS_PER_SECOND * processing.every_seconds:
            raise _fault_at(
                "max_output_tokens", "at most 128 tokens per second of interval_seconds or delay_seconds are allowed"
            )
        return inference

    @field_validator("webrtc")
    @classmethod
    def _goes_without_source(cls, webrtc: WebrtcOffer | None, info: ValidationInfo) -> WebrtcOffer | None:
        """Which of two sources would count is not documented, so two are refused."""
        if webrtc and info.data.get("source"):
            raise ValueError("goes without source: it is the older form of one")
        return webrtc

    @field_validator("mode")
    @classmethod
    def _agrees_with_processing(cls, mode: str | None, info: ValidationInfo) -> str | None:
        processing = info.data.get("processing")
        if mode and processing and mode != processing.kind:
            raise ValueError(f"processing is for mode {processing.kind}")
        return mode


def _fault_at(field: str, message: str) -> ValidationError:
    """A fault of a member, found by a check of the whole: pydantic adds it to the others in its right place."""
    rule = PydanticCustomError("value_error", "Value error, {why}", {"why": message})
    return ValidationError.from_exception_data("options", [{"type": rule, "loc": (field,), "input": None}])


# ---- which of the two ----


class ApiVersion(BaseModel):
    """Which of the provider's APIs is meant: v1beta unless the caller says otherwise."""

    model_config = ConfigDict(strict=True)

    api_version: Literal["v1beta", "v0.2"] = "v1beta"


def _known_version(options: Any) -> Any:
    """Makes of an unknown ``api_version`` one fault at its place, not a list of what does not fit a guess."""
    if isinstance(options, dict):
        ApiVersion.model_validate(options)
    return options


def _version(options: Any) -> str:
    if isinstance(options, dict):
        return str(options.get("api_version", V1BETA))
    return str(getattr(options, "api_version", V1BETA))


OvershootOptions = Annotated[
    Annotated[V1betaOptions, Tag(V1BETA)] | Annotated[V02Options, Tag(V02)],
    Discriminator(_version),
    BeforeValidator(_known_version),
]
"""What the provider's ``options`` may be."""
