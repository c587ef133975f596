"""What the simulated providers have in common: contracts, credentials, canaries, one process."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.simulators import Simulators, secrets
from local.simulators.cloudflare import Cloudflare
from local.simulators.contract import Contract
from local.simulators.overshoot_v02 import V02
from local.simulators.overshoot_v1beta import V1Beta
from local.simulators.pyannote import Pyannote
from tests.local.conftest import ROOT, Checked

CONTRACTS = [Cloudflare.contract, V1Beta.contract, V02.contract, Pyannote.contract]
V02_BODY = {
    "processing": {"interval_seconds": 2},
    "inference": {"prompt": "Is the door open?", "model": "model-1"},
}
CREATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("cloudflare", "/accounts/sim-account/stream/live_inputs", {}),
    ("overshoot", "/streams", {}),
    ("overshoot-v0.2", "/streams", V02_BODY),
    ("pyannote", "/v1/live", {}),
]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def good_key(interface: str) -> dict[str, str]:
    secret = secrets.SECRETS[interface.removesuffix("-v0.2")]
    return bearer(secret.get("api_token") or secret["api_key"])


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.path.stem)
def test_every_operation_of_the_contract_is_there(contract: Contract, sims: Simulators) -> None:
    apis = [sims.cloudflare, sims.overshoot.v1beta, sims.overshoot.v02, sims.pyannote]
    (api,) = [api for api in apis if api.contract is contract]
    assert api.operations.keys() == contract.operations.keys()


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.path.stem)
def test_the_contracts_own_examples_fit_it_closed(contract: Contract) -> None:
    for operation in contract.operations.values():
        for status, body in answers(contract, operation.description["responses"]):
            headers: dict[str, str] = {}
            assert list(contract.answer_misfits(operation, status, headers, body)) == []


def answers(contract: Contract, responses: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    for status, node in responses.items():
        content = contract.resolved(node).get("content", {}).get("application/json", {})
        examples = [shown["value"] for shown in content.get("examples", {}).values()]
        for example in examples + ([content["example"]] if "example" in content else []):
            yield int(status.replace("XX", "99")), httpx.Request("POST", "http://x", json=example).content


def test_an_answer_with_a_field_that_the_contract_lacks_is_a_violation(sims: Simulators) -> None:
    sims.pyannote.failure = lambda refused: {"message": "no", "extra": 1}  # type: ignore[method-assign] # a broken one
    answer = httpx.post(f"{sims.bases['pyannote']}/v1/live")
    assert (answer.status_code, answer.headers["x-simulator-fault"]) == (500, "contract")
    assert "extra" in sims.violations()[0]
    sims.reset()


@pytest.mark.parametrize(("interface", "path", "body"), CREATIONS)
@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"Authorization": "Basic eDp5"}])
def test_a_call_without_a_good_key_is_not_let_in(
    checked: Checked, interface: str, path: str, body: dict[str, Any], headers: dict[str, str]
) -> None:
    assert checked.client(interface, headers).post(path, json=body).status_code == 401


@pytest.mark.parametrize(
    ("interface", "secret", "status"),
    [
        ("cloudflare", secrets.CLOUDFLARE_READ_ONLY, 403),
        ("overshoot", secrets.OVERSHOOT_WITHOUT_CREDITS, 402),
        ("overshoot-v0.2", secrets.OVERSHOOT_WITHOUT_CREDITS, 402),
        ("pyannote", secrets.PYANNOTE_WITHOUT_PERMISSION, 403),
        ("pyannote", secrets.PYANNOTE_WITHOUT_CREDIT, 402),
    ],
)
def test_a_key_that_may_not_create_is_told_so(
    checked: Checked, interface: str, secret: dict[str, str], status: int
) -> None:
    path, body = next((path, body) for name, path, body in CREATIONS if name == interface)
    key = secret.get("api_token") or secret["api_key"]
    assert checked.client(interface, bearer(key)).post(path, json=body).status_code == status


@pytest.mark.parametrize(("interface", "path", "body"), CREATIONS)
def test_an_unknown_field_is_refused_and_named(
    checked: Checked, interface: str, path: str, body: dict[str, Any]
) -> None:
    client = checked.client(interface, good_key(interface))
    answer = client.post(path, json=body | {"colour": "red"})
    assert answer.status_code == (422 if interface.startswith("overshoot") else 400)
    assert "colour" in answer.text


@pytest.mark.parametrize(("interface", "path", "body"), CREATIONS)
def test_a_body_that_is_not_json_or_not_called_so_is_refused(
    checked: Checked, interface: str, path: str, body: dict[str, Any]
) -> None:
    client = checked.client(interface, good_key(interface))
    for headers, content in (({"Content-Type": "application/json"}, "{"), ({"Content-Type": "text/plain"}, "{}")):
        assert client.post(path, headers=headers, content=content).status_code in (400, 422)


def test_an_unknown_query_parameter_is_refused(checked: Checked) -> None:
    client = checked.client("cloudflare", good_key("cloudflare"))
    for query in ({"name": "x"}, {"include_counts": "maybe"}):
        assert client.get("/accounts/sim-account/stream/live_inputs", params=query).status_code == 400


def test_routes_that_no_provider_has_are_not_found(sims: Simulators) -> None:
    for path in ("/cloudflare/client/v4/x", "/cloudflare/x", "/overshoot/v1/streams", "/pyannote/v1/x", "/x"):
        assert httpx.get(sims.url + path).status_code == 404


def test_a_refusal_never_repeats_what_was_sent(checked: Checked) -> None:
    client = checked.client("overshoot", good_key("overshoot"))
    for url in ("ftp://user:made-up@host", "rtsp://user:made-up@127.0.0.1", "rtsp://user:made-up@unreachable"):
        answer = client.post("/streams", json={"source": {"type": "rtsp", "url": url}})
        assert answer.status_code == 422
        assert "made-up" not in answer.text


@pytest.mark.parametrize(("interface", "path", "body"), CREATIONS)
def test_every_secret_of_a_creation_is_a_canary_and_no_resource_shows_one(
    sims: Simulators, checked: Checked, interface: str, path: str, body: dict[str, Any]
) -> None:
    client = checked.client(interface, good_key(interface))
    made = client.post(path, json=body)
    contract = next(c for c in CONTRACTS if c.path.stem.startswith(CONTRACT_OF[interface]))
    provider = interface.removesuffix("-v0.2")
    found = list(marked_secret(contract, made))
    assert found
    for secret in found:
        assert re.search(rf"canary-{provider}-[a-z-]+-[0-9a-f]{{32}}", secret)
    resources = httpx.get(f"{sims.url}/_control/{provider}/resources")
    assert len(resources.json()) == 1
    assert "canary" not in resources.text


CONTRACT_OF = {
    "cloudflare": "cloudflare",
    "overshoot": "overshoot-v1beta",
    "overshoot-v0.2": "overshoot-v0.2",
    "pyannote": "pyannote",
}


def marked_secret(contract: Contract, made: httpx.Response) -> Iterator[str]:
    """The values at the names that the contract marks x-secret (`url` only where it says so)."""
    names = set(secret_names(contract.document["components"]["schemas"]))
    yield from (text for name, text in leaves(made.json()) if name in names and "canary" in text)
    opened = [text for name, text in leaves(made.json()) if name in names - {"url"} and "canary" not in text]
    assert opened == []


def secret_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, child in node.items():
            if isinstance(child, dict) and child.get("x-secret"):
                yield name
            yield from secret_names(child)


def leaves(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from leaves(child, key)
    elif isinstance(node, list):
        for child in node:
            yield from leaves(child, name)
    elif isinstance(node, str):
        yield name, node


def test_the_accepted_credentials_are_canaries_too() -> None:
    others = [getattr(secrets, name) for name in dir(secrets) if name.startswith(("CLOUD", "OVER", "PYAN"))]
    every = [*secrets.SECRETS.values(), *others]
    for secret in every:
        assert all("canary-" in value for name, value in secret.items() if name != "account_id")
    assert secrets.SECRETS["overshoot"]["api_key"].startswith("ovs-canary-")


def test_an_operations_name_is_the_contracts_in_the_call_log(sims: Simulators, checked: Checked) -> None:
    for interface, path, body in CREATIONS:
        checked.client(interface, good_key(interface)).post(path, json=body)
    doors = [sims.cloudflare.door, sims.overshoot.door, sims.pyannote.door]
    assert [call.operation for door in doors for call in door.calls()] == [
        "createLiveInput",
        "createStream",
        "createStream",
        "createLiveStream",
    ]


def test_what_was_carried_out_stays_though_the_answer_was_lost(sims: Simulators, checked: Checked) -> None:
    client = checked.client("overshoot", good_key("overshoot"))
    sims.overshoot.door.fault("lose_answer", "createStream")
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/streams")
    assert len(sims.overshoot.door.resources()) == 1


def test_settings_of_each_provider_are_set_over_http(sims: Simulators) -> None:
    answer = httpx.post(f"{sims.url}/_control/overshoot/settings", json={"lease_seconds": 3})
    assert answer.json()["lease_seconds"] == sims.overshoot.settings.lease_seconds == 3
    unknown = httpx.post(f"{sims.url}/_control/pyannote/settings", json={"lease_seconds": 3})
    assert unknown.status_code == 400


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_when_it_is_ready_and_ends_when_told(end: signal.Signals) -> None:
    command = [sys.executable, "-m", "local.simulators", "--port", "0"]
    with subprocess.Popen(  # noqa: S603  # this interpreter and our own module
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            health = httpx.get(f"{url}/_control/health").json()
            assert health == {"status": "ok", "doors": ["cloudflare", "overshoot", "pyannote"]}
            process.send_signal(end)
            assert process.communicate(timeout=5) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()
