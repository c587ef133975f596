"""Where a stream is sent on to, live: what is asked for, and what is shown of it. Pure."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from headwater.streams import Frozen

LONGEST_KEY = 2048
"""Characters of an address or a key: more than any platform's."""


class NewOutput(BaseModel):
    """A further place to send a stream to. Its address may hold a key, so both are secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)

    url: Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_KEY)]
    stream_key: Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_KEY)]
    enabled: bool = True


class OutputSwitch(BaseModel):
    """All that can be changed about an output."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)

    enabled: bool


class Output(Frozen):
    """One of the places, as anyone may see it who may see the stream: its key is never told again."""

    id: str
    service: str | None
    """The scheme and host of its address; the rest may be a key."""
    enabled: bool
