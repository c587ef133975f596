"""Look for what bears our mark at the providers and has no record: ``python -m tools.orphans [STACK]``.

With your AWS credentials, which must allow to invoke the functions; or, without a stack, at the cloud of ``make up``.
A dry run: nothing is changed anywhere, and what it sees is not counted as a sighting.
"""

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from local.cloud import HOME, STAGE, Cloud

PROVIDER = re.compile("Provision[A-Za-z0-9]+Function")
"""What the template calls a provider's function."""

type Json = dict[str, Any]


def main(stack: str = "") -> None:
    """Print what each provider's function would report, and do."""
    answers = [_asked(function, stack) for function in _functions(stack)]
    if not answers:
        sys.exit("There is no provider's function in this stack.")
    for answer in answers:
        print("\n".join(shown(answer)))
    found = sum(len(answer.get("orphans", [])) for answer in answers)
    print(f"{found or 'No'} orphan{'' if found == 1 else 's'}. Nothing was changed.")
    if any("failed" in answer for answer in answers):
        sys.exit(1)


def _client(service: str, stack: str) -> Any:
    if stack:
        make: Any = boto3.client
        return make(service)
    file = HOME / "stack.json"
    if not file.exists():
        sys.exit("Name a stack, STACK=headwater for one; or start the local cloud with make up.")
    return Cloud(**json.loads(file.read_text())).client(service)


def _functions(stack: str) -> list[str]:
    """The physical names of the providers' functions, found by their names in the template."""
    pages = (
        _client("cloudformation", stack)
        .get_paginator("list_stack_resources")
        .paginate(StackName=stack or f"headwater-{STAGE}")
    )
    found = (one for page in pages for one in page["StackResourceSummaries"])
    named = {one["LogicalResourceId"]: str(one["PhysicalResourceId"]) for one in found}
    return [named[name] for name in sorted(named) if PROVIDER.fullmatch(name)]


def _asked(function: str, stack: str) -> Json:
    payload = json.dumps({"orphans": "dry-run"}).encode()
    answer = _client("lambda", stack).invoke(FunctionName=function, Payload=payload)
    told: Json = json.loads(answer["Payload"].read())
    if answer.get("FunctionError") or "provider" not in told:
        return {"provider": function, "failed": True, "error": {"detail": "it failed; its log says why"}}
    return told


def shown(report: Json) -> Iterator[str]:
    """A function's answer, for a person."""
    provider = report["provider"]
    if error := report.get("error"):
        yield f"{provider}: could not be searched: {error['detail']}"
        return
    if not report["marks"]:
        yield f"{provider}: cannot be searched: what is made there bears no mark that could be listed"
        return
    orphans = report["orphans"]
    yield (
        f"{provider}: {report['marked']} with our mark, {report['recorded']} as recorded, "
        f"{report['young']} just made, {len(orphans)} without a record that fits"
    )
    if not report["complete"]:
        yield "  There was no time for all of them: the list goes on."
    for trouble in report["troubles"]:
        yield f"  {trouble['ref']}: {trouble['error']} while {trouble['doing']}"
    moment = datetime.fromisoformat(report["searched_at"])
    for orphan in orphans:
        yield from _orphan(orphan, moment)


def _orphan(orphan: Json, moment: datetime) -> Iterator[str]:
    created_at, first_seen = orphan["created_at"], datetime.fromisoformat(orphan["first_seen"])
    age = _span(moment - datetime.fromisoformat(created_at)) if created_at else "of unknown age"
    times = orphan["sightings"]
    seen = f"seen {times} times since {first_seen.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if times > 1 else "seen once"
    yield f"  {orphan['ref']}"
    yield f"    {age}, {WHY.get(orphan['why'], orphan['why'])}, {seen}"
    yield f"    {orphan['stream_id']}"
    yield f"    {orphan['done'].replace('-', ' ')}" + (f": {orphan['note']}" if orphan["note"] else "")


WHY = {
    "no-record": "without a record",
    "ended": "though its stream has ended",
    "failed": "though its stream has failed",
    "lost": "though its stream was lost",
    "another-recorded": "beside the one that is recorded",
}


def _span(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    if hours >= 48:
        return f"{hours // 24} days old"
    return f"{hours} hours old" if hours else f"{int(age.total_seconds() // 60)} minutes old"


if __name__ == "__main__":
    main(*sys.argv[1:2])
