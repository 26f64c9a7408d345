"""Time limits: from when on no child of a request, and no step of one, begins any more."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime, timedelta

from engine.domain.frozen import frozen
from engine.domain.requests import Options
from engine.domain.steps import Micros

UNTIL_TOLERANCE = 3600.0
"""Seconds: what was to end in the morning and begins late must not go on until the next morning."""
LONGEST = 366 * 86400.0
"""Seconds that a time limit may be away, at most."""


def deadline(options: Options, submitted_at: Micros) -> Micros | None:
    """The earlier of the two limits that a request can name, counted from its submit; None where it names none.

    `until` is a time of day in the zone of this process: the next one after the submit; but for a request that comes
    less than `UNTIL_TOLERANCE` after it, it has passed.
    """
    limits = []
    if options.time_limit is not None:
        limits.append(submitted_at + round(options.time_limit * 1e6))
    if options.until is not None:
        limits.append(_next(options.until, submitted_at - round(UNTIL_TOLERANCE * 1e6)))
    return min(limits, default=None)


@frozen
class Window:
    """When steps may begin."""

    closes_at: float | None = None
    """Until when, by `time.monotonic`; None: at any time."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set from then on."""


@contextmanager
def window(time_left: float | None) -> Iterator[Window]:
    """One that closes after so many seconds; never for None.

    They are counted by a clock that nobody sets: a jump of the other one neither ends a night too soon nor makes it
    longer.
    """
    if time_left is None:
        yield Window()
        return
    opened = Window(time.monotonic() + time_left)
    if time_left <= 0:
        opened.closed.set()
    timer = asyncio.get_running_loop().call_later(max(time_left, 0), opened.closed.set)
    try:
        yield opened
    finally:
        timer.cancel()


def is_time_of_day(text: str) -> bool:
    """Whether `text` is `HH:MM`, from 00:00 to 23:59."""
    return re.fullmatch(r"([01]?[0-9]|2[0-3]):[0-5][0-9]", text) is not None


def _next(time_of_day: str, after: Micros) -> Micros:
    hour, minute = map(int, time_of_day.split(":"))
    begin = datetime.fromtimestamp(after / 1e6)  # naive on purpose: the wall clock, whatever summer time does
    found = begin.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if found <= begin:
        again = found.replace(fold=1)  # when summer time ends, an hour comes twice
        found = again if again.timestamp() > begin.timestamp() else found + timedelta(days=1)
    return round(found.timestamp() * 1e6)
