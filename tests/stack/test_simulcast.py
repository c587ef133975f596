"""Where a stream is sent on to: listed, added, switched, removed; the keys of those places go in and never come out."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.simulators.secrets import canary
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.consoles import CloudflareConsole
from tests.stack.doors import Door
from tests.stack.leaks import leaks, values_of
from tests.stack.storage import Storage
from tests.stack.ways import CLOUDFLARE

Json = dict[str, Any]

MOST = 50
"""Outputs of a live input at once (Cloudflare's documentation, "Simulcast")."""
PLACE = "rtmps://live.example.org"


def a_key(what: str) -> str:
    return canary("caller", f"output-{what}")


def an_address(what: str) -> str:
    """One that holds a key itself, as some platforms' do."""
    return f"{PLACE}:443/app/{a_key(what)}"


@pytest.fixture(scope="module")
def door(doors: dict[str, Door]) -> Door:
    return doors["cloudflare"]


@pytest.fixture
def stream(api: Api, request: pytest.FixtureRequest) -> Iterator[Json]:
    stream = api.opened(CLOUDFLARE, request.node.name)
    yield stream
    assert api.delete(stream["href"]).is_success


def listed(api: Api, stream: Json) -> list[Json]:
    answer = api.outputs(stream["href"])
    assert (answer.status_code, answer.json()["id"]) == (200, stream["id"]), answer.text
    outputs: list[Json] = answer.json()["outputs"]
    return outputs


def told(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    output: Json = answer.json()
    return output


def posted(door: Door, stream: Json) -> int:
    return len([call for call in door.calls("createOutput") if stream["provider_ref"] in call["path"]])


def test_a_stream_is_sent_on_to_one_place_more_and_to_none_again(
    stream: Json, api: Api, cloudflare: CloudflareConsole
) -> None:
    assert listed(api, stream) == []
    url, key = an_address("address"), a_key("key")
    added = told(api.add_output(stream["href"], url, key), 201)
    assert added == {"id": added["id"], "service": PLACE, "enabled": True}
    [there] = cloudflare.outputs(stream["provider_ref"])
    assert (there["url"], there["streamKey"], there["enabled"]) == (url, key, True)
    assert listed(api, stream) == [added]
    for enabled in (False, True):
        assert told(api.switch_output(stream["href"], added["id"], enabled), 200) == {**added, "enabled": enabled}
        assert listed(api, stream) == [{**added, "enabled": enabled}]
        assert cloudflare.outputs(stream["provider_ref"])[0]["enabled"] is enabled
    for _ in range(2):
        assert api.remove_output(stream["href"], added["id"]).status_code == 204
    assert (listed(api, stream), cloudflare.outputs(stream["provider_ref"])) == ([], [])


def test_the_same_place_twice_is_one(stream: Json, api: Api, door: Door) -> None:
    url, key = an_address("address"), a_key("key")
    first = told(api.add_output(stream["href"], url, key), 201)
    again = told(api.add_output(stream["href"], url, key), 201)
    assert again == first
    off = told(api.add_output(stream["href"], url, key, enabled=False), 201)
    assert off == {**first, "enabled": False}
    assert listed(api, stream) == [off]
    assert posted(door, stream) == 1
    other = told(api.add_output(stream["href"], url, a_key("another")), 201)
    assert other["id"] != first["id"]
    assert len(listed(api, stream)) == 2


def test_one_whose_answer_is_lost_is_there_once(stream: Json, api: Api, door: Door) -> None:
    url, key = an_address("address"), a_key("key")
    door.fault("lose_answer", "createOutput", containing=stream["provider_ref"])
    added = told(api.add_output(stream["href"], url, key), 201)
    assert door.faults() == []
    assert listed(api, stream) == [added]
    assert posted(door, stream) == 1


def test_there_are_fifty_places_at_most(stream: Json, api: Api, door: Door, cloudflare: CloudflareConsole) -> None:
    for number in range(MOST - 1):
        cloudflare.add_output(stream["provider_ref"], PLACE, f"key-{number}")
    last = told(api.add_output(stream["href"], an_address("fiftieth"), a_key("fiftieth")), 201)
    posts = posted(door, stream)
    refused = api.add_output(stream["href"], an_address("one-more"), a_key("one-more"))
    assert (refused.status_code, refused.json()["code"]) == (409, "provider-quota-exceeded"), refused.text
    assert posted(door, stream) == posts
    assert len(listed(api, stream)) == MOST
    assert api.remove_output(stream["href"], last["id"]).status_code == 204
    assert api.add_output(stream["href"], an_address("one-more"), a_key("one-more")).status_code == 201


def test_an_unknown_place_cannot_be_switched_and_need_not_be_removed(stream: Json, api: Api) -> None:
    for output_id in ("0" * 32, "none-such", "x" * 33):
        answer = api.switch_output(stream["href"], output_id, False)
        assert (answer.status_code, answer.json()["code"]) == (404, "output-not-found"), answer.text
        assert api.remove_output(stream["href"], output_id).status_code == 204


def test_a_wrong_request_is_refused_with_all_its_faults_and_none_of_its_secrets(
    stream: Json, api: Api, door: Door
) -> None:
    calls = len(door.about(stream["provider_ref"]))
    body = {"url": "", "stream_key": [a_key("no-text")], "enabled": "yes", "password": a_key("unknown")}
    answer = api.call("POST", f"{stream['href']}/outputs", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), answer.text
    assert {f["pointer"] for f in answer.json()["errors"]} == {"/url", "/stream_key", "/enabled", "/password"}
    switched = api.call("PATCH", f"{stream['href']}/outputs/{'0' * 32}", {"enabled": True, "url": a_key("switch")})
    assert (switched.status_code, [f["pointer"] for f in switched.json()["errors"]]) == (422, ["/url"])
    assert door.about(stream["provider_ref"])[calls:] == []
    assert leaks([answer.text, switched.text]) == []


def test_what_a_provider_says_of_a_place_that_it_refuses_is_kept_back(stream: Json, api: Api, door: Door) -> None:
    url, key = an_address("refused"), a_key("refused")
    words = {
        "success": False,
        "errors": [{"code": 1001, "message": f"not {url} with {key}", "source": {"pointer": key}}],
    }
    door.fault("status", "createOutput", containing=stream["provider_ref"], status=400, body=words)
    answer = api.add_output(stream["href"], url, key)
    assert (answer.status_code, answer.json()["code"]) == (422, "provider-rejected"), answer.text
    assert leaks([answer.text]) == []


def test_what_is_over_is_sent_on_nowhere(api: Api, door: Door) -> None:
    stream = api.opened(CLOUDFLARE, "simulcast-over")
    assert api.delete(stream["href"]).is_success
    calls = len(door.about(stream["provider_ref"]))
    answers = [
        api.outputs(stream["href"]),
        api.add_output(stream["href"], an_address("late"), a_key("late")),
        api.switch_output(stream["href"], "0" * 32, True),
        api.remove_output(stream["href"], "0" * 32),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(410, "stream-ended")}
    assert door.about(stream["provider_ref"])[calls:] == []


def test_a_place_is_no_part_of_the_record_and_its_keys_are_nowhere(
    stream: Json, api: Api, storage: Storage, subscriber: Subscriber
) -> None:
    keys = an_address("nowhere"), a_key("nowhere")
    told(api.add_output(stream["href"], *keys), 201)
    assert api.read(stream["href"], refresh=True).json() == stream
    assert [event["type"] for event in api.timeline(stream["href"]).json()["events"]] == ["StreamCreated"]
    answers = [exchange.received for exchange in api.exchanges if stream["id"] in exchange.path]
    assert len(answers) > 2
    events = [json.dumps(event) for event in subscriber.events(stream["id"])]
    mine = [each for each in (*answers, *events, *storage.log_lines(), *texts(storage)) if "output-nowhere" in each]
    assert mine == []
    assert leaks(events) == []


def texts(storage: Storage) -> Iterator[str]:
    for value in values_of(storage.items()):
        yield value if isinstance(value, str) else value.decode(errors="replace")
