"""Providers' circuits, as ``GET /providers`` shows them. Pure."""

from datetime import UTC, datetime
from typing import Any

CIRCUITS = "CIRCUIT"
"""The partition of their items, one for each provider; and of the same in the index that lists are made of."""

STANDS_AT = "state"
"""The attribute that says where it stands: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``."""
CLOSED: dict[str, Any] = {"state": "closed", "since": None}
"""Its provider is called: the circuit of one that never was away."""


def shown(state: str, opened_at: int | None) -> dict[str, Any]:
    """A circuit for whoever looks: ``closed``, ``open`` or ``half-open``, and since when its provider is not called.

    ``opened_at`` in seconds of the epoch; None while it is closed.
    """
    since = None if opened_at is None else datetime.fromtimestamp(opened_at, UTC).isoformat().replace("+00:00", "Z")
    return {"state": state.lower().replace("_", "-"), "since": since}
