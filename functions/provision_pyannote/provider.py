"""Live streams at pyannoteAI, in our words."""

from collections.abc import Callable
from typing import ClassVar, override
from urllib.parse import quote

from headwater.deadline import Deadline
from headwater.errors import (
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderUnavailable,
    Upstream,
)
from headwater.http import ProviderClient
from headwater.provider import EVERYWHERE, Handle, Order, Provider, Removal, Resource, Verb
from provision_pyannote import wire
from provision_pyannote.options import PyannoteOptions
from provision_pyannote.wire import PyannoteSecret

ENDS_BY_ITSELF = (
    "pyannoteAI has no call that ends a stream: it ends when its own socket is closed with end_of_stream, "
    "and one that was never connected to stays unused."
)


class Pyannote(Provider[PyannoteOptions]):
    """pyannoteAI live streaming. Source of what it does: its API reference and its pages on streaming."""

    name: ClassVar = "pyannote"
    api_version: ClassVar = "v1"
    options_type: ClassVar = PyannoteOptions
    verbs: ClassVar[frozenset[Verb]] = EVERYWHERE
    guard_seconds: ClassVar[float] = 0
    ambiguous_creates_allowed: ClassVar[int | None] = 1
    """A lost stream never connects, so one deliberate second create is acceptable, and no more."""
    look_seconds: ClassVar[float | None] = 60
    """Nobody else tells how it fares, and one that is done is over for good. A team has ten at once, so this is ten
    calls a minute, where a hundred and more are allowed."""

    def __init__(self, base_url: str, secret: Callable[[bool], PyannoteSecret]) -> None:
        self._client = ProviderClient(self.name, base_url, lambda fresh: secret(fresh).headers(), wire.explain)

    @override
    def create(self, order: Order[PyannoteOptions], deadline: Deadline) -> Resource:
        """Make a stream. Each call makes another: there is no key, no name and no mark."""
        # The reference asks for a body, an object without properties; its tutorial sends none.
        answer = self._client.call("POST", "/v1/live", deadline, repeatable=False, json={})
        made = wire.created(answer.body)
        if made is None:
            upstream = Upstream(self.name, answer.status)
            raise ProviderOutcomeUnknown("pyannote: its answer names no stream.", upstream=upstream)
        return made

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """The stream's state. Its address is told only once, by the create."""
        try:
            answer = self._client.call("GET", f"/v1/live/{quote(handle.ref, safe='')}", deadline, repeatable=True)
        except ProviderError as error:
            # The answer for an unknown stream is not documented; 404 is what fits.
            if error.upstream is not None and error.upstream.status == 404:
                return None
            raise
        found = wire.found(answer.body)
        if found is None:
            upstream = Upstream(self.name, answer.status)
            raise ProviderUnavailable("pyannote: its answer was unreadable.", upstream=upstream)
        return found

    @override
    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        """Call nothing, and say so."""
        return Removal(ENDS_BY_ITSELF)
