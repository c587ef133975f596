"""Live streams at pyannoteAI, in our words."""

from collections.abc import Callable, Sequence
from typing import ClassVar
from urllib.parse import quote

from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderUnavailable,
    Upstream,
)
from headwater.http import ProviderClient
from headwater.provider import Handle, Marked, Order, Removal, Resource, Search, Verb
from provision_pyannote import wire
from provision_pyannote.options import PyannoteOptions
from provision_pyannote.wire import PyannoteSecret

ENDS_BY_ITSELF = (
    "pyannoteAI has no call that ends a stream: it ends when its own socket is closed with end_of_stream, "
    "and one that was never connected to stays unused."
)


class Pyannote:
    """pyannoteAI live streaming. Source of what it does: its API reference and its pages on streaming."""

    name: ClassVar = "pyannote"
    api_version: ClassVar = "v1"
    options_type: ClassVar = PyannoteOptions
    verbs: ClassVar = frozenset({Verb.CREATE, Verb.READ, Verb.DELETE})
    guard_seconds: ClassVar[float] = 0
    marks: ClassVar = False
    ambiguous_creates_allowed: ClassVar[int | None] = 1
    """A lost stream never connects, so one deliberate second create is acceptable, and no more."""

    def __init__(self, base_url: str, secret: Callable[[bool], PyannoteSecret]) -> None:
        self._client = ProviderClient(self.name, base_url, lambda fresh: secret(fresh).headers(), wire.explain)

    def create(self, order: Order[PyannoteOptions], deadline: Deadline) -> Resource:  # noqa: ARG002  # it has no fields
        """Make a stream. Each call makes another: there is no key, no name and no mark."""
        # The reference asks for a body, an object without properties; its tutorial sends none.
        answer = self._client.call("POST", "/v1/live", deadline, repeatable=False, json={})
        made = wire.created(answer.body)
        if made is None:
            upstream = Upstream(self.name, answer.status)
            raise ProviderOutcomeUnknown("pyannote: its answer names no stream.", upstream=upstream)
        return made

    def find(self, order: Order[PyannoteOptions], deadline: Deadline) -> Search:  # noqa: ARG002  # it never calls
        """Nothing, which proves nothing: streams cannot be listed or marked."""
        return Search(conclusive=False)

    def orphan_seconds(self, options: PyannoteOptions) -> int:  # noqa: ARG002  # the same for all options
        """None: a lost stream is never connected to."""
        return 0

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

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:  # noqa: ARG002  # it never calls
        """Raises ``CapabilityNotSupported``: there is no lease."""
        raise CapabilityNotSupported("pyannote: a stream has no lease.")

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:  # noqa: ARG002  # it never calls
        """Call nothing, and say so."""
        return Removal(ENDS_BY_ITSELF)

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:  # noqa: ARG002  # it never calls
        """None: streams cannot be listed or marked."""
        return ()

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:  # noqa: ARG002  # it never calls
        """None: it is of no use where nothing can be found."""
        return None
