"""Time limits: from when on no child and no step of a request begins."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from engine.domain.frozen import frozen
from engine.domain.lazy_import import lazy
from engine.domain.requests import Options
from engine.domain.steps import Micros

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy("asyncio", "only what runs needs it")

UNTIL_TOLERANCE = 3600.0
"""Seconds. A request submitted this long after its `until` counts as late, not as meant for the next day."""
MAX_TIME_LIMIT = 366 * 86400.0
"""The longest time limit, in seconds."""


def has_limit(options: Options) -> bool:
    return options.time_limit is not None or options.until is not None


def deadline(options: Options, submitted_at: Micros, closes_at: Micros | None = None) -> Micros | None:
    """The earliest limit of a request; None without limits. Those of its options count from its submit.

    `until` is a time of day in the zone of this process: the next one after the submit; but for a request that comes
    less than `UNTIL_TOLERANCE` after it, it has passed.
    """
    limits = [] if closes_at is None else [closes_at]
    if options.time_limit is not None:
        limits.append(submitted_at + round(options.time_limit * 1e6))
    if options.until is not None:
        limits.append(next_time_of_day(options.until, submitted_at - round(UNTIL_TOLERANCE * 1e6)))
    return min(limits, default=None)


@frozen
class Window:
    """When steps may begin."""

    closes_at: float | None = None
    """The end, by `time.monotonic`; None: never."""
    closed: asyncio.Event = field(default_factory=lambda: asyncio.Event())
    """Set at the end."""

    @property
    def time_left(self) -> float | None:
        """Seconds until the end; None if there is none."""
        return None if self.closes_at is None else self.closes_at - time.monotonic()


@contextmanager
def window(time_left: float | None, since: float | None = None) -> Iterator[Window]:
    """A window that closes `time_left` seconds after `since`, by `time.monotonic`, or after now; never for None.

    Measured by the monotonic clock: setting the system clock does not move the limit.
    """
    if time_left is None:
        yield Window()
        return
    now = time.monotonic()
    time_left -= 0.0 if since is None else now - since
    opened = Window(now + time_left)
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


def next_time_of_day(time_of_day: str, after: Micros, zone: tzinfo | None = None) -> Micros:
    """The first time after `after` at which a clock in this zone shows `HH:MM`; None: the zone of this process."""
    begin = datetime.fromtimestamp(after / 1e6, zone)  # the wall clock, whatever summer time does
    hour, minute = map(int, time_of_day.split(":"))
    found = begin.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    again = found.replace(fold=1)  # when summer time ends, an hour comes twice
    times = (round(one.timestamp() * 1e6) for one in (found, again, found + timedelta(days=1)))
    return next(at for at in times if at > after)
