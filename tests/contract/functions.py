"""Providers' functions as they are deployed to this machine, made of fakes: each offers what its provider does."""

import json
from functools import cache
from types import SimpleNamespace
from typing import Any

from pydantic import JsonValue

from headwater.ports import Parts
from headwater.provider import Order, Verb
from headwater.provider_function import ProviderFunction
from headwater.records import Record
from headwater.requests import split_secrets
from local.cloud import ACCOUNT, REGION, STAGE
from local.generate import providers
from tests.contract.promises import Json, request
from tests.template import functions
from tests.unit.fakes import FakeClock, FakeProvider, FakeStore, FakeVault

CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 29_000, aws_request_id="1")
BY_FOLDER = {folder.name: provider for folder, provider in providers().items()}


@cache
def api_routes() -> dict[str, set[tuple[str, str]]]:
    """Method and path of each call that API Gateway brings to a function, by its folder."""
    events = {folder: each.get("Events", {}).values() for folder, each in functions().items()}
    return {
        folder: {(one["Properties"]["Method"], one["Properties"]["Path"]) for one in all_ if one["Type"] == "Api"}
        for folder, all_ in events.items()
    }


class Alike(FakeProvider):
    """One that has any options: each that was given is a setting."""

    def settings(self, order: Order[Any]) -> dict[str, JsonValue]:
        given = split_secrets(order.options)[0]
        return {"/name": order.name} | {f"/options/{name}": value for name, value in given.items()}


class World:
    """One of them, with a provider that offers the same as the real one and calls nobody."""

    def __init__(self, folder: str) -> None:
        self.folder, real = folder, BY_FOLDER[folder]
        told = ("name", "options_type", "verbs", "changeable", "notifies", "look_seconds")
        leased = {"lease_seconds": 300 if Verb.KEEPALIVE in real.verbs else None}
        same = {name: getattr(real, name) for name in told} | leased
        self.provider: Alike = type("Same", (Alike,), same)()
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.function = ProviderFunction(lambda: self.provider)
        deployment = f"{STAGE}-{REGION}-{ACCOUNT}"
        self.function.parts = Parts(self.provider, self.store, FakeVault(), deployment, ACCOUNT, self.clock)

    def invoke(self, name: str, **instead: Any) -> Json:
        """With the event of a file, ``instead`` of some of its members with these."""
        return self.function(request(name) | instead, CONTEXT)

    def ask(self, method: str, path: str, body: str | None = None) -> Json:
        """Call its API, signed and with a key; the answer's body, with its status."""
        event = request(f"{self.folder}/create.json") | {"httpMethod": method, "path": path, "body": body}
        answer = self.function(event, CONTEXT)
        told: Json = json.loads(answer["body"] or "{}")
        return told | {"status": answer["statusCode"]}

    @property
    def record(self) -> Record:
        """Of the only stream that there is."""
        (record,) = self.store.records.values()
        return record
