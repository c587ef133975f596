"""Each way to ask for a stream: a provider, or one API of a provider that has two."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from local.simulators.secrets import canary

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
    lease: int = 0
    """Seconds that its streams are there if nobody renews them; 0 where they have no lease."""

    def body(self, **more: Any) -> Json:
        """Of a create."""
        return {"options": self.options, **more}

    def asking(self, name: str = "", /, **options: Any) -> "Way":
        """The same with these options besides; under a name of its own, if one is given."""
        return replace(self, name=name or self.name, options=self.options | options)


@dataclass(frozen=True)
class Known:
    """A way, and what a test knows of it besides."""

    way: Way

    @property
    def name(self) -> str:
        return self.way.name

    @property
    def provider(self) -> str:
        return self.way.provider

    @property
    def leased(self) -> bool:
        return bool(self.way.lease)


CLOUDFLARE = Way("cloudflare", "cloudflare")
KINESIS_VIDEO = Way("kinesis-video", "kinesis-video")
OVERSHOOT = Way("overshoot-v1beta", "overshoot", path="/v1beta/", lease=300)
OVERSHOOT_V02 = Way("overshoot-v0.2", "overshoot", V02, path="/v0.2/", lease=45)
PYANNOTE = Way("pyannote", "pyannote")
WAYS = (CLOUDFLARE, KINESIS_VIDEO, OVERSHOOT, OVERSHOOT_V02, PYANNOTE)
LEASED = tuple(way for way in WAYS if way.lease)
UNLEASED = tuple(way for way in WAYS if not way.lease)
PROVIDERS = tuple(dict.fromkeys(way.provider for way in WAYS))


def each(ways: Iterable[Way]) -> pytest.MarkDecorator:
    """A test of each of them."""
    return pytest.mark.parametrize("way", ways, ids=lambda way: way.name)


EACH_WAY, EACH_LEASED = each(WAYS), each(LEASED)


def secretive(whose: str) -> tuple[Way, Way, Way]:
    """With a secret of somebody's each, that the provider must get and nobody else: in a camera's address, in an offer,
    and in a token for a room of the caller's own.
    """
    camera = f"rtsp://viewer:{canary(whose, 'camera-password')}@camera.example.org:554/main"
    offer = f"v=0\r\na=ice-pwd:{canary(whose, 'ice-pwd')}\r\n"
    room = {"url": "wss://room.example.org", "token": canary(whose, "room-token")}
    return (
        OVERSHOOT.asking("overshoot-camera", source={"type": "rtsp", "url": camera}),
        OVERSHOOT_V02.asking("overshoot-offer", source={"type": "webrtc", "sdp": offer}),
        OVERSHOOT_V02.asking("overshoot-room", source={"type": "livekit", **room}),
    )
