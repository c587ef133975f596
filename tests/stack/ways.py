"""Each way to ask for a stream: a provider, or one API of a provider that has two."""

from dataclasses import dataclass, field
from typing import Any

import pytest

Json = dict[str, Any]

V02 = {
    "api_version": "v0.2",
    "processing": {"interval_seconds": 2.5},
    "inference": {"prompt": "Is the door open?", "model": "a-model"},
}


@dataclass(frozen=True)
class Way:
    """One of them."""

    name: str
    provider: str
    options: Json = field(default_factory=dict, hash=False)
    path: str = ""
    """What the path of its calls at the provider holds, and of no other way's."""

    def body(self, **more: Any) -> Json:
        """Of a create."""
        return {"options": self.options, **more}


WAYS = (
    Way("cloudflare", "cloudflare"),
    Way("kinesis-video", "kinesis-video"),
    Way("overshoot-v1beta", "overshoot", path="/v1beta/"),
    Way("overshoot-v0.2", "overshoot", V02, path="/v0.2/"),
    Way("pyannote", "pyannote"),
)
EACH_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
