"""What is made of the moments at which an event was seen on its way."""

import pytest

from bench.latency import PUBLISHES, SETTLES, Heard, Made, Traces
from bench.latency_report import BEGIN, END, Arrival, Journey, percentile, placed, table

MADE = Made("str_a", asked=100, answered=160)
EVENT = {"occurred_at": "1970-01-01T00:00:00.120Z", "data": {"stream": {"id": "str_a"}}}
HEARD = Heard(EVENT, queued=180, received=230)
SETTLE = {"at": 140, "answered_at": 145, "body": ""}
PUBLISH = {"at": 170, "answered_at": 178, "body": {"Entries": [{"Detail": '{"id": "str_a"}'}]}}
CREATE_RAN, PUBLISHER_RAN, RENEWER_RAN = (110, 158), (150, 179), (185, 200)
RAN = (CREATE_RAN, PUBLISHER_RAN, RENEWER_RAN)


def test_a_journey_is_put_together_of_what_the_door_and_the_logs_tell() -> None:
    traces = Traces({SETTLES: [SETTLE], PUBLISHES: [PUBLISH]}, RAN)
    assert traces.journey(MADE, HEARD) == Journey(120, 145, 150, 170, 180, 230)


@pytest.mark.parametrize(
    ("settles", "publishes", "ran"),
    [
        ([], [PUBLISH], RAN),
        ([SETTLE, SETTLE], [PUBLISH], RAN),
        ([{**SETTLE, "at": 161}], [PUBLISH], RAN),
        ([SETTLE], [], RAN),
        ([SETTLE], [{**PUBLISH, "body": "of another"}], RAN),
        ([SETTLE], [PUBLISH], (CREATE_RAN,)),
        ([SETTLE], [PUBLISH], (*RAN, (160, 175))),
    ],
)
def test_what_cannot_be_told_apart_is_no_journey(settles: list[object], publishes: list[object], ran: object) -> None:
    calls = {SETTLES: settles, PUBLISHES: publishes}
    assert Traces(calls, ran).journey(MADE, HEARD) is None  # type: ignore[arg-type]  # JSON of any kind


def test_a_percentile_is_one_of_the_values() -> None:
    values = list(range(100, 0, -1))
    assert [percentile(values, share) for share in (0.5, 0.99, 1)] == [50, 99, 100]
    assert percentile([7], 0.01) == 7
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_the_table_has_each_part_of_the_way() -> None:
    rows = table([Journey(120, 145, 150, 170, 180, 230)], [Arrival(120, 190)], callers=8).splitlines()[2:]
    assert [row.split(" | ")[-1] for row in rows] == [f"{most} |" for most in (35, 5, 20, 10, 50, 60, 70)]


def test_a_section_is_placed_where_its_marks_are_and_at_the_end_where_there_are_none() -> None:
    first = placed("# Title\n", "one")
    assert first == f"# Title\n\n{BEGIN}\n\none\n\n{END}\n"
    assert placed(first + "\nafter\n", "two") == f"# Title\n\n{BEGIN}\n\ntwo\n\n{END}\n\nafter\n"


@pytest.mark.parametrize("marks", [BEGIN, END, END + BEGIN, BEGIN + END + BEGIN])
def test_a_document_whose_marks_are_no_pair_is_left_alone(marks: str) -> None:
    with pytest.raises(ValueError, match="latency"):
        placed(marks, "one")
