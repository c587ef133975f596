"""How often to ask for a stream that stays due, and in what order what is due is gone through. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from headwater.events import AttentionData, OrphanSearchDue, SearchData, StreamAttentionDue

MOST = 1000
"""Commands a run. What is left is due still, and the next run begins with the oldest of it."""
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
DOUBLINGS = 6
"""After so many the longest pause is reached."""

type Item = dict[str, Any]
"""Of the index ``due``: the keys, ``provider``, and ``swept``, how often its stream was asked for as it is recorded."""


def pause(item: Item) -> timedelta:
    """How long a command is given before its stream is due again: longer each time, so that nobody waits behind those
    that cannot be helped. The count is gone, and it begins anew, whenever somebody writes the record."""
    doublings: int = min(int(item.get("swept", 0)), DOUBLINGS)
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << doublings))


def interleaved[T](sources: Iterable[Iterator[T]]) -> Iterator[T]:
    """One of each in turn, until all are exhausted: a long one keeps no other waiting."""
    turn = deque(sources)
    while turn:
        source = turn.popleft()
        for each in source:
            yield each
            turn.append(source)
            break


def attention(item: Item) -> StreamAttentionDue:
    """Look after this stream: its provider's function sees by the record what is due. Raises where an item is amiss."""
    stream_id = item["pk"].removeprefix("STREAM#")
    return StreamAttentionDue(data=AttentionData(provider=item["provider"], stream_id=stream_id, reason="due"))


def search(provider: str) -> OrphanSearchDue:
    """Look for what the provider has of ours and nobody knows."""
    return OrphanSearchDue(data=SearchData(provider=provider))
