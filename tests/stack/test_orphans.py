"""What has our mark at a provider and no record, on the deployed system: an operator sees it, and the log tells it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.cloud import Cloud
from local.simulators.secrets import SECRETS
from tests.stack.callers import Api
from tests.stack.doors import Door
from tests.stack.shell import printed_by
from tests.stack.storage import Storage
from tests.stack.waiting import eventually
from tests.stack.ways import PROVIDERS
from tools import orphans

Json = dict[str, Any]

HOUR = 3600


@pytest.fixture
def door(doors: dict[str, Door]) -> Door:
    return doors["cloudflare"]


@pytest.fixture
def orphan(request: pytest.FixtureRequest, api: Api, door: Door, storage: Storage) -> Iterator[str]:
    """The name at its provider of a stream that was made two hours ago, and whose record is lost for now."""
    answer = api.create("cloudflare", request.node.name)
    assert answer.is_success, answer.text
    stream = answer.json()
    door.act("make_older", uid=stream["provider_ref"], seconds=2 * HOUR)
    with storage.without_record(stream["id"]):
        yield stream["provider_ref"]


@pytest.fixture
def stranger(cloud: Cloud, door: Door) -> Iterator[str]:
    """The name of an input that another deployment made in the same account, long ago."""
    secret = SECRETS["cloudflare"]
    path = f"/cloudflare/client/v4/accounts/{secret['account_id']}/stream/live_inputs"
    headers = {"Authorization": f"Bearer {secret['api_token']}"}
    meta = {"headwater_id": "str_" + "a" * 52, "headwater_deployment": "another"}
    with httpx.Client(base_url=cloud.simulators_url, headers=headers) as account:
        uid: str = account.post(path, json={"meta": meta}).json()["result"]["uid"]
        door.act("make_older", uid=uid, seconds=100 * HOUR)
        yield uid
        account.delete(f"{path}/{uid}")


def shown(cloud: Cloud) -> str:
    """What ``make orphans STACK=…`` prints."""
    return printed_by(cloud, "tools.orphans")


def searched(storage: Storage, provider: str = "cloudflare") -> int:
    """How many searches at a provider the log tells of; a dry run is none."""
    lines = [json.loads(line) for line in storage.log_lines() if '"searched for orphans"' in line]
    return sum(line["provider"] == provider for line in lines)


def told_of(storage: Storage, ref: str) -> list[Json]:
    lines = [json.loads(line) for line in storage.log_lines() if '"orphan"' in line and ref in line]
    return [line for line in lines if line["message"] == "orphan"]


def sightings(storage: Storage) -> set[str]:
    """Of what it is kept that it was seen."""
    kept = storage.keys()
    return {sk for pk, sk in kept if pk == "ORPHAN#cloudflare"}


def test_an_operator_sees_an_orphan_and_changes_nothing(
    orphan: str, stranger: str, cloud: Cloud, door: Door, storage: Storage
) -> None:
    before = searched(storage)
    text = shown(cloud)
    [at] = [number for number, line in enumerate(text.splitlines()) if orphan in line]
    about = text.splitlines()[at : at + 4]
    assert "2 hours old, without a record, seen once" in about[1]
    assert about[3].strip() == "kept: it was made less than a day ago"
    assert stranger not in text
    assert {orphan, stranger} <= door.refs()
    # Unless the hour's own search came between, nothing is kept of it.
    assert orphan not in sightings(storage) or searched(storage) > before


def test_every_provider_answers_for_itself(cloud: Cloud) -> None:
    lines = shown(cloud).splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")][:-1] == [
        *PROVIDERS,
    ]
    assert sum("cannot be searched" in line for line in lines) == 2
    assert lines[-1].endswith("Nothing was changed.")


def test_without_a_stack_the_local_cloud_is_looked_at(
    orphan: str, cloud: Cloud, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(orphans, "HOME", folder)
    orphans.main("")
    assert orphan in capsys.readouterr().out


def test_a_stream_that_is_recorded_is_not_shown(api: Api, cloud: Cloud, doors: dict[str, Door]) -> None:
    made = api.create("cloudflare", "not-orphaned").json()
    doors["cloudflare"].act("make_older", uid=made["provider_ref"], seconds=2 * HOUR)
    assert made["provider_ref"] not in shown(cloud)


@pytest.mark.parametrize("provider", ["cloudflare", "kinesis-video"])
def test_a_command_on_the_bus_has_a_provider_searched(provider: str, cloud: Cloud, storage: Storage) -> None:
    before = searched(storage, provider)
    ask(cloud, provider)
    eventually(lambda: searched(storage, provider), lambda count: count > before)


def test_an_orphan_is_told_of_and_stays(orphan: str, stranger: str, cloud: Cloud, door: Door, storage: Storage) -> None:
    ask(cloud, "cloudflare")
    line = eventually(lambda: told_of(storage, orphan), bool)[0]
    assert (line["provider"], line["why"], line["done"]) == ("cloudflare", "no-record", "reported")
    assert orphan in sightings(storage)
    assert told_of(storage, stranger) == []
    assert {orphan, stranger} <= door.refs()
    assert not [call for call in door.calls("deleteLiveInput") if orphan in call["path"] or stranger in call["path"]]


def ask(cloud: Cloud, provider: str) -> None:
    """As the hour's sweep does."""
    detail = json.dumps({"version": 1, "data": {"provider": provider}})
    entry = {"Source": "headwater", "DetailType": "OrphanSearchDue", "Detail": detail, "EventBusName": cloud.bus}
    answer = cloud.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0
