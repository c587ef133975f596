"""Business time, by which streams live and end: real time, but where somebody tries out what only time brings about."""

import os
from datetime import datetime, timedelta

from headwater.streams import now


def moved() -> timedelta:
    """How far business time is ahead of real time, never behind it.

    That is what the file named by ``CLOCK_FILE`` holds, in milliseconds; nothing as long as there is no such file. The
    template names none to any function, so on AWS nothing is read and the two are the same.
    """
    file = os.environ.get("CLOCK_FILE")
    if not file:
        return timedelta(0)
    try:
        with open(file) as held:
            return timedelta(milliseconds=int(held.read()))
    except FileNotFoundError:
        return timedelta(0)


def present() -> datetime:
    """Business time now, UTC, in whole milliseconds."""
    return now() + moved()
