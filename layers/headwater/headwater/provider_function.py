"""What every provider's function does with its triggers: an API call, a batch from its queue, an operator's look."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from headwater.api import Answer, Api, deadline_of, reply
from headwater.attention import Attention
from headwater.creation import Accepted, Creation, Opened
from headwater.lifecycle import Lifecycle
from headwater.ports import Parts
from headwater.provider import AnyProvider
from headwater.requests import parse
from headwater.streams import Stream, as_json

PRIVATE = {"Cache-Control": "no-store"}


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
    def attention(self) -> Attention:
        return Attention(self.parts, self.lifecycle)

    @cached_property
    def api(self) -> Api:
        """The provider's routes."""
        api, root = Api(), f"/streams/{self.parts.provider.name}"
        one = f"{root}/<stream_id>"
        api.routes.post(root)(self._create)
        api.routes.get(one)(self._read)
        api.routes.delete(one)(self._remove)
        api.routes.get(f"{one}/credentials")(self._credentials)
        api.routes.post(f"{one}/keepalive")(self._keep_alive)
        api.routes.get(f"{one}/events")(self._timeline)
        return api

    def _create(self) -> Answer:
        api, provider = self.api, self.parts.provider
        key, body = api.idempotency_key, api.body
        wanted = parse(body, provider.options_type)
        if api.prefers("respond-async"):
            return self._accepted(self.creation.accept(api.caller, key, wanted))
        return self._opened(self.creation.provision(api.caller, key, wanted, api.deadline))

    def _opened(self, opened: Opened) -> Answer:
        stream = opened.stream
        headers = {"Location": self.api.location(stream.href), **PRIVATE, **_tag(stream)}
        if opened.replayed:
            headers["Idempotency-Replayed"] = "true"
        body = as_json(stream) | {"credentials": opened.credentials.revealed()}
        return reply(200 if opened.replayed else 201, body, headers)

    def _accepted(self, accepted: Accepted | Opened) -> Answer:
        if isinstance(accepted, Opened):
            return self._opened(accepted)
        stream = accepted.stream
        headers = {"Location": self.api.location(stream.href), "Preference-Applied": "respond-async", **_tag(stream)}
        if accepted.again:
            headers["Idempotency-Replayed"] = "true"
        return reply(202, as_json(stream), headers)

    def _read(self, stream_id: str) -> Answer:
        refresh = (self.api.event.query_string_parameters or {}).get("refresh") == "true"
        stream = self.lifecycle.read(self.api.caller, stream_id, refresh, self.api.deadline)
        return reply(200, as_json(stream), _tag(stream))

    def _remove(self, stream_id: str) -> Answer:
        remains = self.lifecycle.remove(self.api.caller, stream_id, self.api.deadline).remains
        return reply(200, {"id": stream_id, "state": "ended", "remains": remains}) if remains else reply(204)

    def _credentials(self, stream_id: str) -> Answer:
        credentials = self.lifecycle.credentials(self.api.caller, stream_id)
        return reply(200, {"id": stream_id, **credentials.revealed()}, PRIVATE)

    def _keep_alive(self, stream_id: str) -> Answer:
        stream = self.lifecycle.keep_alive(self.api.caller, stream_id, self.api.deadline)
        return reply(200, as_json(stream), _tag(stream))

    def _timeline(self, stream_id: str) -> Answer:
        return reply(200, {"id": stream_id, "events": self.lifecycle.timeline(self.api.caller, stream_id)})


def _tag(stream: Stream) -> dict[str, str]:
    return {"ETag": f'"{stream.version}"'}
