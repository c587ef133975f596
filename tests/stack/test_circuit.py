"""A provider that is away is left alone until it is well, in the deployed system; and everybody can see that."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest

from headwater.breaker import Settings
from headwater.circuits import CIRCUITS
from local.cloud import Cloud
from tests.stack.callers import Api
from tests.stack.doors import Door
from tests.stack.waiting import eventually

Json = dict[str, Any]

PROVIDER = "cloudflare"
ALWAYS = 200
CLOSED = {"state": "closed", "since": None}


@dataclass(frozen=True)
class Circuit:
    """One provider's: as everybody sees it, and as the table keeps it."""

    cloud: Cloud
    api: Api
    door: Door

    @property
    def shown(self) -> Json:
        told = {one["provider"]: one["circuit"] for one in self.api.providers().json()["providers"]}
        circuit: Json = told[PROVIDER]
        return circuit

    def create(self) -> httpx.Response:
        return self.api.create(PROVIDER, "circuit")

    def open(self) -> None:
        """Let the provider fail until it is left alone. Each environment counts for itself."""
        self.door.fault("status", operation="*", status=503, times=ALWAYS)
        eventually(lambda: (self.create().status_code, self.shown)[1], lambda seen: seen["state"] == "open", 90)

    def until(self, status: int) -> httpx.Response:
        """The create's answer once it is of this status: what an environment believes of the circuit may be old."""
        return eventually(self.create, lambda answer: answer.status_code == status, Settings().cached + 10)

    def recover(self) -> None:
        """It has been open for long enough."""
        self.cloud.client("dynamodb").update_item(
            TableName=self.cloud.table,
            Key={"pk": {"S": CIRCUITS}, "sk": {"S": PROVIDER}},
            UpdateExpression="SET opened_at = opened_at - :seconds",
            ExpressionAttributeValues={":seconds": {"N": str(Settings().recovery)}},
        )


@pytest.fixture
def circuit(cloud: Cloud, api: Api, doors: dict[str, Door]) -> Iterator[Circuit]:
    """Whatever happens, the other tests find the provider well and its circuit closed."""
    circuit = Circuit(cloud, api, doors[PROVIDER])
    yield circuit
    circuit.door.heal()
    if circuit.shown["state"] != "closed":
        circuit.recover()
        circuit.until(201)
    assert api.delete(api.href_of(PROVIDER, "circuit")).is_success


def test_a_provider_that_is_away_is_left_alone_until_it_is_well(circuit: Circuit, api: Api) -> None:
    assert circuit.shown == CLOSED
    begun = int(time.time())
    circuit.open()
    assert begun <= datetime.fromisoformat(circuit.shown["since"]).timestamp() <= time.time()

    before = len(circuit.door.calls())
    refused = circuit.create()
    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (
        *(503, "provider-unavailable"),
        True,
    )
    assert 1 <= int(refused.headers["retry-after"]) <= Settings().recovery
    assert len(circuit.door.calls()) == before
    assert api.read(api.href_of(PROVIDER, "circuit")).json()["state"] == "provisioning"

    circuit.door.heal()
    assert circuit.create().status_code == 503, "it is not tried before its time"
    assert len(circuit.door.calls()) == before
    circuit.recover()
    made = circuit.until(201)
    assert made.json()["provider_ref"] in circuit.door.refs()
    assert eventually(lambda: circuit.shown, lambda seen: seen["state"] == "closed") == CLOSED
