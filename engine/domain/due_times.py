"""When a schedule is due, and when its window closes. Times of day are those of its time zone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Final

from cronsim import CronSim, CronSimError

from engine.domain.schedules import Schedule
from engine.domain.steps import Micros
from engine.domain.time_limits import next_time_of_day
from engine.domain.time_zones import zone_named

_FIELDS: Final = 5
_SECOND: Final = 1_000_000
_EXAMINED: Final = 400
"""Due times of which the window is examined: a year of nights, with both changes of the clock."""


def cron_problem(expression: str) -> str:
    """What is wrong with a cron expression; "" if it has due times."""
    if len(expression.split()) != _FIELDS:
        return f"has {len(expression.split())} fields, and cron expressions have {_FIELDS}"
    try:
        never = next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)), None) is None
    except (CronSimError, AssertionError) as error:  # an assertion: */ after a list of weekdays
        return f"is no cron expression ({str(error).lower() or 'it cannot be read'})"
    except (OverflowError, ValueError):
        never = True
    return "never comes" if never else ""


def due_times(schedule: Schedule, after: Micros) -> Iterator[Micros]:
    """All due times after `after`, in order.

    Where summer time begins, one in the hour that is left out comes right after it; where it ends, one in the hour
    that comes twice comes once, unless the expression has a star for the minute or the hour.
    """
    zone = zone_named(schedule.timezone)
    last = after
    for found in CronSim(schedule.start, datetime.fromtimestamp(after // _SECOND, zone)):
        at = round(found.timestamp()) * _SECOND
        if at > last:  # two of the hour that is left out are one, and the hour that comes twice begins again
            last = at
            yield at


def next_due(schedule: Schedule, after: Micros) -> Micros | None:
    return next(due_times(schedule, after), None)


def due_until(schedule: Schedule, after: Micros, until: Micros, *, most: int) -> list[Micros]:
    """The first due times after `after` and not after `until`, `most` at most."""
    return list(islice(takewhile(lambda at: at <= until, due_times(schedule, after)), most))


def closes_at(schedule: Schedule, due_at: Micros) -> Micros | None:
    """When the window of a due time closes; None: never."""
    if schedule.until is None:
        return None
    return next_time_of_day(schedule.until, due_at, zone_named(schedule.timezone))


def stagger_offset(schedule: Schedule, target: str) -> Micros:
    """How long after the due time a target starts: the same each time, and whole seconds."""
    digest = hashlib.sha256(f"{schedule.name}\0{target}".encode("utf-8", "surrogatepass")).digest()
    return int(schedule.stagger * int.from_bytes(digest[:8], "big") / 2**64) * _SECOND


def shortest_window(schedule: Schedule, after: Micros) -> Micros | None:
    """The shortest window of the next due times; None: they do not close. 0: one closes when it opens."""
    if schedule.until is None:
        return None
    zone = zone_named(schedule.timezone)
    lengths = []
    for due_at in islice(due_times(schedule, after), _EXAMINED):
        opens = datetime.fromtimestamp(due_at / _SECOND, zone)
        is_empty = f"{opens:%H:%M}" == schedule.until
        closes = closes_at(schedule, due_at)
        lengths.append(0 if is_empty or closes is None else closes - due_at)
    return min(lengths, default=None)


def overlaps_itself(schedule: Schedule, after: Micros) -> bool:
    """Whether a due time comes before the window of the one before it has closed."""
    times = list(islice(due_times(schedule, after), _EXAMINED))
    windows = [closes_at(schedule, at) for at in times]
    return any(closes is not None and closes > due for closes, due in zip(windows, times[1:], strict=False))
