"""What a caller may ask of Cloudflare Stream: every field of its create request. Only what was given is sent."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from headwater.provider import Options

HEADWATER_ID = "headwater_id"
"""The key of ``meta`` that holds the stream's id, so that it can be found again."""

HEADWATER_DEPLOYMENT = "headwater_deployment"
"""The key of ``meta`` that says which deployment made it: the only one that may take it for its own."""


class Recording(Options):
    """Recording, and with it playback."""

    mode: Literal["off", "automatic"] = Field(
        default="off",
        description="`automatic`: recorded, and viewable over HLS and DASH. `off`: neither recorded nor viewable.",
    )
    allowed_origins: list[str] = Field(
        default=[], description="Origins that may show the video; `*` stands for sub-domains. Empty: any origin."
    )
    hide_live_viewer_count: bool = Field(default=False, description="Whether the number of viewers is kept back.")
    require_signed_urls: bool = Field(default=False, description="Whether viewing needs a signed URL.")
    timeout_seconds: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Seconds that a feed may be away before a new video starts. 0: the platform's own default.",
    )


class CloudflareOptions(Options):
    """A live input, as asked for. Bounds: Cloudflare's API reference, "Create a live input"."""

    default_creator: str = Field(default="", description="Creator id that is put on the recordings.")
    delete_recording_after_days: Annotated[int, Field(ge=30, le=1096)] | None = Field(
        default=None, description="Days after which recordings are deleted. Null: never."
    )
    enabled: bool = Field(default=True, description="Whether broadcasts are accepted.")
    meta: dict[str, JsonValue] = Field(
        default={},
        description="Any values, shown by Cloudflare. `name` is the display name; "
        f"`{HEADWATER_ID}` and `{HEADWATER_DEPLOYMENT}` are taken.",
    )
    recording: Recording = Field(default=Recording(), description="What is kept of it, and who may watch it.")
    prefer_low_latency: bool = Field(
        default=False, description="Whether HLS is played with low latency. Needs `recording.mode` `automatic`."
    )

    @field_validator("meta")
    @classmethod
    def _our_marks_are_ours(cls, meta: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := meta.keys() & {HEADWATER_ID, HEADWATER_DEPLOYMENT}:
            raise ValueError(f"{' and '.join(sorted(taken))}: set by Headwater")
        return meta

    @field_validator("prefer_low_latency")
    @classmethod
    def _low_latency_is_of_what_is_viewable(cls, wanted: bool, info: ValidationInfo) -> bool:
        """Checked here since the provider names no field for it. What is wrong with ``recording`` is told there."""
        recording = info.data.get("recording")
        if wanted and isinstance(recording, Recording) and recording.mode != "automatic":
            raise ValueError("needs recording.mode automatic")
        return wanted
