"""The two ways to a search for orphans: a command from the bus, and an operator who looks without changing anything."""

from typing import Any

from headwater import telemetry
from headwater.deadline import Deadline
from headwater.errors import HeadwaterError, InternalError
from headwater.orphans import Done, Orphan, Report
from headwater.ports import Parts
from headwater.streams import as_json
from headwater.wiring import orphan_search

DRY_RUN = "dry-run"
LINES = 200
"""So many orphans of a run are logged one by one; what is removed always is."""
ALL_CLEAR_HOUR = 0
"""UTC; in which it is told that there are no orphans, whatever there was before."""


def search(parts: Parts, deadline: Deadline) -> None:
    """Search, log a line for each orphan, and tell how many there are; that there are none only where there were some
    before, and once a day.

    A provider that cannot be asked is asked again by the next command: this one need not come again.
    """
    try:
        report = orphan_search(parts, _Lines(parts.provider.name)).run(deadline)
    except HeadwaterError as error:
        told = {"provider": parts.provider.name, "code": error.code, "detail": error.detail}
        telemetry.logger().warning("no search for orphans", extra=told)
        return
    _tell(report)


def preview(event: dict[str, Any], parts: Parts, deadline: Deadline) -> dict[str, Any]:
    """``{"orphans": "dry-run"}`` → the report, or why there is none. Nothing is changed, and no sighting recorded.

    Raises ``ValueError`` where something else is asked for.
    """
    if event["orphans"] != DRY_RUN:
        raise ValueError(f"an operator asks for {DRY_RUN!r} only")
    try:
        return as_json(orphan_search(parts).run(deadline, dry_run=True))
    except HeadwaterError as error:
        why = {"code": error.code, "detail": error.detail}
    except Exception as error:  # Lambda would log its text, which may hold a secret
        telemetry.exception("unforeseen", error=error)
        why = {"code": InternalError.code, "detail": "The function's log says more."}
    return {"provider": parts.provider.name, "error": why}


class _Lines:
    """Logs orphans as it is told of them: a worker that dies has logged what it removed."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._left = LINES

    def __call__(self, orphan: Orphan) -> None:
        self._left -= 1
        if self._left >= 0 or orphan.done is Done.REMOVED:
            told = {"provider": self._provider, **as_json(orphan)}
            telemetry.logger().warning("orphan", extra=told)


def _tell(report: Report) -> None:
    told = as_json(report) | {"orphans": len(report.orphans)}
    (telemetry.logger().warning if report.troubles else telemetry.logger().info)("searched for orphans", extra=told)
    # A metric is paid for by the hours in which it is told, and none where there were none is no news. Once a day it is
    # told even so: an alarm's all-clear may have been lost.
    if report.marks and (report.orphans or report.remembered or report.searched_at.hour == ALL_CLEAR_HOUR):
        telemetry.count("OrphansFound", report.provider, len(report.orphans))
