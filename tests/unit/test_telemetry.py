"""What is logged and counted: metrics as CloudWatch reads them, and no exception's text."""

import io
import json
import time
from typing import Any

import jsonschema
import pytest

from headwater import telemetry
from tests.unit.fakes import CANARY

NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
METRIC = {
    "type": "object",
    "required": ["Name"],
    "additionalProperties": False,
    "properties": {"Name": NAME, "Unit": {"enum": ["Count"]}, "StorageResolution": {"enum": [1, 60]}},
}
DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "additionalProperties": False,
    "properties": {
        "Namespace": NAME,
        "Dimensions": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "maxItems": 30, "items": {**NAME, "maxLength": 250}},
        },
        "Metrics": {"type": "array", "maxItems": 100, "items": METRIC},
    },
}
EMBEDDED = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {"type": "array", "items": DIRECTIVE},
            },
        }
    },
}
"""By "Specification: Embedded metric format" in the CloudWatch user guide, and by the schema at its end."""


def metrics(text: str) -> list[tuple[dict[str, str], str, list[int]]]:
    """What CloudWatch makes of these lines: dimensions, name and values of each."""
    found = []
    for line in text.splitlines():
        root: dict[str, Any] = json.loads(line)
        jsonschema.validate(root, EMBEDDED)
        for directive in root["_aws"]["CloudWatchMetrics"]:
            assert directive["Namespace"] == "Headwater"
            for names in directive["Dimensions"]:
                dimensions = {name: root[name] for name in names}
                assert all(isinstance(each, str) and 0 < len(each) <= 1024 for each in dimensions.values())
                for metric in directive["Metrics"]:
                    values = root[metric["Name"]]
                    assert 0 < len(values) <= 100
                    assert {type(value) for value in values} <= {int, float}
                    found.append((dimensions, metric["Name"], values))
    return found


def test_a_fact_is_counted_by_its_provider(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.count("StreamProvisioned", "cloudflare")
    telemetry.count("OrphanFound", "kinesis-video", 3)
    assert metrics(capsys.readouterr().out) == [
        ({"provider": "cloudflare"}, "StreamProvisioned", [1]),
        ({"provider": "kinesis-video"}, "OrphanFound", [3]),
    ]


def test_how_many_there_are_is_told_by_the_function_that_found_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "headwater-sweep")
    telemetry.gauge("StreamsDue", 0)
    assert metrics(capsys.readouterr().out) == [({"function": "headwater-sweep"}, "StreamsDue", [0])]


def test_a_metric_is_of_the_moment_in_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    before = time.time() * 1000
    telemetry.count("StreamProvisioned", "cloudflare")
    stamp = json.loads(capsys.readouterr().out)["_aws"]["Timestamp"]
    assert before - 1 <= stamp <= time.time() * 1000


def test_a_metric_is_one_line_whatever_it_is_of(capsys: pytest.CaptureFixture[str]) -> None:
    """A line of Lambda's log is an event of CloudWatch's, with nothing before or after its JSON."""
    telemetry.count("StreamProvisioned", 'a\nb"c')
    text = capsys.readouterr().out
    assert (text.count("\n"), text[-1], text[0]) == (1, "\n", "{")
    assert metrics(text) == [({"provider": 'a\nb"c'}, "StreamProvisioned", [1])]


def test_an_error_is_logged_by_its_kind_and_place(log: io.StringIO) -> None:
    def fails() -> None:
        raise ValueError(f"{CANARY}text")

    try:
        fails()
    except ValueError as error:
        telemetry.exception("unforeseen", error=error, stream="str_1")
    [line] = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["message"], line["error"], line["stream"]) == (
        *("ERROR", "unforeseen"),
        *("ValueError", "str_1"),
    )
    assert [place.partition(" ")[2] for place in line["at"]] == [
        "test_an_error_is_logged_by_its_kind_and_place",
        "fails",
    ]
    assert CANARY not in log.getvalue()
