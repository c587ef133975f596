"""The simulated HTTP providers: Cloudflare Stream, Overshoot (both generations) and pyannoteAI on one port."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local.door import Clock, Door, serve, side_by_side
from local.killing import Victims, nobody
from local.simulators.cloudflare import Cloudflare
from local.simulators.overshoot import Overshoot
from local.simulators.pyannote import Pyannote


@dataclass(frozen=True)
class Simulators:
    """The running providers. Each has a `door` (calls, faults) and `settings`; they share the clock."""

    url: str
    clock: Clock
    cloudflare: Cloudflare
    overshoot: Overshoot
    pyannote: Pyannote

    @property
    def bases(self) -> dict[str, str]:
        """The base address of each interface, as the product is to be given it."""
        return {
            "cloudflare": f"{self.url}/cloudflare/client/v4",
            "overshoot": f"{self.url}/overshoot/v1beta",
            "overshoot-v0.2": f"{self.url}/overshoot/v0.2",
            "pyannote": f"{self.url}/pyannote",
        }

    @property
    def doors(self) -> list[Door]:
        """All three."""
        return [self.cloudflare.door, self.overshoot.door, self.pyannote.door]

    def reset(self) -> None:
        """At all three. Settings and clock stay."""
        for door in self.doors:
            door.reset()

    def violations(self) -> list[str]:
        """Answers of any of the three that broke a contract unasked: always to be empty."""
        return [violation for door in self.doors for violation in door.violations]


@contextmanager
def simulators(port: int = 0, victims: Victims = nobody, clock: Clock | None = None) -> Iterator[Simulators]:
    """Serves them on 127.0.0.1 until the block ends. Port 0 takes a free one. Faults kill none but `victims`."""
    clock = clock or Clock()
    providers = Cloudflare(clock), Overshoot(clock), Pyannote(clock)
    doors = [provider.door for provider in providers]
    for door in doors:
        door.victims = victims
    with serve(side_by_side(doors), port) as url:
        yield Simulators(url, clock, *providers)
