"""What an operator reads of a search for orphans."""

import json
from typing import Any

import pytest

from tests.unit.fakes_orphans import DAY, HOUR, Orphanage
from tools import orphans as tool


def told(world: Orphanage, **how: bool) -> str:
    report = world.search(dry_run=True, **how).model_dump(mode="json")
    return "\n".join(tool.shown(report))


def test_an_orphan_is_shown_with_all_that_is_known_of_it() -> None:
    world = Orphanage()
    world.stand("kept")
    world.put("lost", age=HOUR)
    world.search_for(2 * DAY)
    world.put("new")
    assert told(world) == (
        "fake: 3 with our mark, 1 as recorded, 1 just made, 1 without a record that fits\n"
        "  ref-of-lost\n"
        "    2 days old, without a record, seen 49 times since 2026-03-01 12:00 UTC\n"
        f"    {world.id_of('lost')}\n"
        "    reported: removal is off"
    )
    assert told(world, removes=True).endswith("    would be removed")
    world.provider.shelf["ref-of-lost"].connected = True
    assert told(world, removes=True).endswith("    kept: somebody sends to it")


@pytest.mark.parametrize(
    ("age", "words"),
    [(None, "of unknown age"), (20 * 60, "20 minutes old"), (5 * HOUR, "5 hours old"), (47 * HOUR, "47 hours old")],
)
def test_an_age_is_told_in_words(age: float | None, words: str) -> None:
    world = Orphanage()
    world.put("lost", age=age)
    assert f"    {words}, without a record, seen once\n" in told(world)


def test_trouble_is_told() -> None:
    world = Orphanage()
    world.put("lost", age=HOUR)
    world.store.load = broken  # type: ignore[method-assign] # of this one alone
    assert "  ref-of-lost: ConnectionError while judging it" in told(world)


def broken(stream_id: str) -> Any:
    raise ConnectionError


def test_where_nothing_is_there_nothing_is_shown() -> None:
    assert told(Orphanage()) == "fake: 0 with our mark, 0 as recorded, 0 just made, 0 without a record that fits"


def test_that_a_list_could_not_be_had_is_told() -> None:
    answer = {"provider": "fake", "error": {"code": "provider-unavailable", "detail": "It is away."}}
    assert list(tool.shown(answer)) == ["fake: could not be searched: It is away."]


class Cloud:
    """A stack of two functions, one of which may be broken, and what else a stack has."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = dict(zip(("one", "two"), answers, strict=False))
        self.invoked: list[tuple[str, Any]] = []

    def get_paginator(self, operation: str) -> "Cloud":
        assert operation == "list_stack_resources"
        return self

    def paginate(self, **of: str) -> list[dict[str, Any]]:
        names = {"ProvisionOneFunction": "one", "ProvisionOneFunctionRole": "role", "SweepFunction": "sweep"}
        pages = [names, {"ProvisionTwoFunction": "two"}]
        summaries = [[{"LogicalResourceId": k, "PhysicalResourceId": v} for k, v in page.items()] for page in pages]
        return [{"StackResourceSummaries": each} for each in summaries]

    def invoke(self, **call: Any) -> dict[str, Any]:
        self.invoked.append((call["FunctionName"], json.loads(call["Payload"])))
        answer = self.answers[call["FunctionName"]]
        failed = {"FunctionError": "Unhandled"} if "errorMessage" in answer else {}
        return {"Payload": Body(answer), **failed}


class Body:
    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def read(self) -> bytes:
        return json.dumps(self._answer).encode()


def run(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any]) -> Cloud:
    cloud = Cloud(*answers)
    monkeypatch.setattr(tool, "_client", lambda service, stack: cloud)
    tool.main("headwater")
    return cloud


def test_every_provider_s_function_is_asked_for_a_dry_run_and_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Orphanage().search(dry_run=True).model_dump(mode="json")
    cloud = run(monkeypatch, report, {**report, "provider": "plain", "marks": False})
    assert cloud.invoked == [("one", {"orphans": "dry-run"}), ("two", {"orphans": "dry-run"})]
    shown = capsys.readouterr().out
    assert "plain: cannot be searched" in shown
    assert shown.endswith("No orphans. Nothing was changed.\n")


def test_a_function_that_fails_hides_no_other_s_orphans(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = Orphanage()
    world.put("lost", age=HOUR)
    report = world.search(dry_run=True).model_dump(mode="json")
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, {"errorMessage": "out of memory"}, report)
    assert ended.value.code == 1
    shown = capsys.readouterr().out
    assert "one: could not be searched" in shown
    assert "ref-of-lost" in shown
    assert shown.endswith("1 orphan. Nothing was changed.\n")


def test_without_a_stack_and_without_a_local_cloud_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(tool, "HOME", tmp_path)
    with pytest.raises(SystemExit, match="make up"):
        tool.main("")
