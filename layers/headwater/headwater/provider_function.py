"""What every provider's function does with its triggers: an API call, a batch from its queue, an operator's look."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headwater.answers import PRIVATE, opened_answer, stream_answer, tag
from headwater.api import Api, deadline_of, reply
from headwater.creation import Accepted, Creation, Opened
from headwater.ending import Ending
from headwater.events import StreamCreated
from headwater.lifecycle import Lifecycle
from headwater.ports import Parts
from headwater.provider import AnyProvider
from headwater.records import Claim, Credentials, Record
from headwater.requests import parse, request_model
from headwater.routes import Answer
from headwater.streams import Access, State, Stream, as_json

if TYPE_CHECKING:
    from headwater.attention import Attention
    from headwater.rare_routes import RareRoutes

RARE = (
    ("POST", "/adopt", "adopt"),
    ("PATCH", "/<stream_id>", "change"),
    ("POST", "/<stream_id>/repair", "repair"),
    ("POST", "/<stream_id>/credentials/rotate", "rotate"),
    ("GET", "/<stream_id>/outputs", "outputs"),
    ("POST", "/<stream_id>/outputs", "add_output"),
    ("PATCH", "/<stream_id>/outputs/<output_id>", "switch_output"),
    ("DELETE", "/<stream_id>/outputs/<output_id>", "remove_output"),
)
"""Routes below a provider's that few calls take, and the methods of ``RareRoutes`` that answer them."""


ON_THE_PATH = (Access, Credentials, Claim, Stream, Record, StreamCreated)
"""The models of a create: others are built when they are used."""


class ProviderFunction:
    """A Lambda handler for one provider. Nothing is made before the first event; then once for the process."""

    def __init__(self, make: Callable[[], AnyProvider]) -> None:
        self._make = make

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """API Gateway proxy event → proxy answer; SQS batch → the messages that must come again.

        ``{"orphans": "dry-run"}``, by hand → what a search for orphans would come to.
        """
        if "Records" in event:
            from headwater.queue import Inbox

            return Inbox(self.parts, self.creation, self.attention).receive(event, context)
        if "orphans" in event:
            from headwater.orphan_reports import preview

            return preview(event, self.parts, deadline_of(context))
        return self.api.answer(event, context)

    def prepare(self) -> tuple[Api, Creation]:
        """Make what a first create needs before it calls anybody: models, clients, routes. Nobody is called."""
        for model in (request_model(self.parts.provider.options_type), *ON_THE_PATH):
            model.model_rebuild()
        return self.api, self.creation

    @cached_property
    def parts(self) -> Parts:
        """The ports, wired by the environment."""
        from headwater.wiring import parts

        return parts(self._make())

    @cached_property
    def creation(self) -> Creation:
        return Creation(self.parts)

    @cached_property
    def lifecycle(self) -> Lifecycle:
        return Lifecycle(self.parts)

    @cached_property
    def ending(self) -> Ending:
        return Ending(self.parts)

    @cached_property
    def attention(self) -> "Attention":
        from headwater.attention import Attention

        return Attention(self.parts, self.lifecycle)

    @cached_property
    def api(self) -> Api:
        """The provider's routes."""
        api, root = Api(), f"/streams/{self.parts.provider.name}"
        one = f"{root}/<stream_id>"
        api.routes.add("POST", root, self._create)
        api.routes.add("GET", one, self._read)
        api.routes.add("DELETE", one, self._remove)
        api.routes.add("GET", f"{one}/credentials", self._credentials)
        api.routes.add("POST", f"{one}/keepalive", self._keep_alive)
        api.routes.add("GET", f"{one}/events", self._timeline)
        for method, path, name in RARE:
            api.routes.add(method, root + path, self._rarely(name))
        if self.parts.provider.notifies:
            api.routes.add("POST", f"/notifications/{self.parts.provider.name}", self._rarely("notified"))
        return api

    def _rarely(self, name: str) -> Callable[..., Answer]:
        """A route of ``RareRoutes``, which is imported when it is called."""

        def answer(**given: str) -> Answer:
            answered: Answer = getattr(self.rare, name)(**given)
            return answered

        return answer

    @cached_property
    def rare(self) -> "RareRoutes":
        from headwater.rare_routes import RareRoutes

        return RareRoutes(self.api, self.parts)

    def _create(self) -> Answer:
        api, provider = self.api, self.parts.provider
        key, body = api.idempotency_key, api.body
        wanted = parse(body, provider.options_type, self.parts.terms)
        if api.prefers("respond-async"):
            return self._accepted(self.creation.accept(api.caller, key, wanted))
        return opened_answer(api, self.creation.provision(api.caller, key, wanted, api.deadline))

    def _accepted(self, accepted: Accepted | Opened) -> Answer:
        if isinstance(accepted, Opened):
            return opened_answer(self.api, accepted)
        stream = accepted.stream
        headers = {"Location": self.api.location(stream.href), "Preference-Applied": "respond-async", **tag(stream)}
        if accepted.again:
            headers["Idempotency-Replayed"] = "true"
        return reply(202, as_json(stream), headers)

    def _read(self, stream_id: str) -> Answer:
        stream = self.lifecycle.read(self.api.caller, stream_id, self.api.asks("refresh"), self.api.deadline)
        return stream_answer(stream)

    def _remove(self, stream_id: str) -> Answer:
        ended = self.ending.remove(self.api.caller, stream_id, self.api.deadline)
        if ended.stream.state is State.ENDING:
            return reply(202, as_json(ended.stream), tag(ended.stream))
        told = {"id": stream_id, "state": ended.stream.state, "remains": ended.remains}
        return reply(200, told) if ended.remains else reply(204)

    def _credentials(self, stream_id: str) -> Answer:
        api = self.api
        credentials = self.lifecycle.credentials(api.caller, stream_id, api.asks("refresh"), api.deadline)
        return reply(200, {"id": stream_id, **credentials.revealed()}, PRIVATE)

    def _keep_alive(self, stream_id: str) -> Answer:
        return stream_answer(self.lifecycle.keep_alive(self.api.caller, stream_id, self.api.deadline))

    def _timeline(self, stream_id: str) -> Answer:
        return reply(200, {"id": stream_id, "events": self.lifecycle.timeline(self.api.caller, stream_id)})
