"""When a schedule is due, and when its window closes. Times of day are those of its time zone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice, takewhile
from typing import Final

from cronsim import CronSim, CronSimError

from engine.domain.humanize import counted
from engine.domain.schedules import Firing, FiringReason, Schedule
from engine.domain.steps import Micros
from engine.domain.time_limits import next_time_of_day
from engine.domain.time_zones import zone_named

_FIELDS: Final = 5
_SECOND: Final = 1_000_000
_MINUTES_OF_DAY: Final = 24 * 60
_ANY_TIME: Final = 1_767_225_600 * _SECOND
_LONGEST_WINDOW: Final = 25 * 3600 * _SECOND
"""A day on which the clock is set back."""
_EXAMINED: Final = 100
"""Due times that are compared with the windows before them."""


def cron_problem(expression: str) -> str:
    """The error of a cron expression; "" if it has due times."""
    if len(expression.split()) != _FIELDS:
        return f"has {counted(len(expression.split()), 'field')}, and cron expressions have {_FIELDS}"
    try:
        never = next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)), None) is None
    except (CronSimError, AssertionError) as error:  # an assertion: */ after a list of weekdays
        if _has_no_such_day(expression):
            return "never comes: its months have no such day"
        return f"is no cron expression ({str(error).lower() or 'it cannot be read'})"
    except (OverflowError, ValueError):
        never = True
    return "never comes" if never else ""


def _has_no_such_day(expression: str) -> bool:
    """Whether its day and its month are sound, but not together."""
    minute, hour, day, month, weekday = expression.split()
    try:
        for fields in ((minute, hour, day, "*", weekday), (minute, hour, "*", month, weekday)):
            CronSim(" ".join(fields), datetime(2000, 1, 1, tzinfo=UTC))
    except (CronSimError, AssertionError):
        return False
    return True


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
    return list(islice(due_times_until(schedule, after, until), most))


def due_times_until(schedule: Schedule, after: Micros, until: Micros) -> Iterator[Micros]:
    return takewhile(lambda at: at <= until, due_times(schedule, after))


def closes_at(schedule: Schedule, due_at: Micros) -> Micros | None:
    """When the window of a due time closes; None: never."""
    if schedule.until is None:
        return None
    return next_time_of_day(schedule.until, due_at, zone_named(schedule.timezone))


def is_open(schedule: Schedule, at: Micros) -> bool:
    """Whether its window is open at a time; always, if its windows do not close."""
    if schedule.until is None:
        return True
    *_, last = [None, *due_times_until(schedule, at - _LONGEST_WINDOW, at)]
    closes = None if last is None else closes_at(schedule, last)
    return closes is not None and at < closes


def firing_closes_at(schedule: Schedule, firing: Firing) -> Micros | None:
    """When the window of a firing closes. One that a person starts while none is open has no window."""
    is_without = firing.reason is FiringReason.BY_HAND and not is_open(schedule, firing.due_at)
    return None if is_without else closes_at(schedule, firing.due_at)


def stagger_offset(schedule: Schedule, target: str) -> Micros:
    """How long after the due time a target starts: the same each time, and whole seconds."""
    digest = hashlib.sha256(f"{schedule.name}\0{target}".encode("utf-8", "surrogatepass")).digest()
    return int(schedule.stagger * int.from_bytes(digest[:8], "big") / 2**64) * _SECOND


def shortest_window(schedule: Schedule) -> int | None:
    """Minutes by the clock of its shortest window; None: they do not close. 0: one closes when it opens."""
    if schedule.until is None:
        return None
    return min(_windows(schedule.start, schedule.until))[0]


def window_after_until(schedule: Schedule) -> tuple[int, int] | None:
    """The longest window and when it opens, in minutes, if it is longer than half a day and longer than another one:
    that due time comes after `until`. None otherwise."""
    if schedule.until is None:
        return None
    windows = _windows(schedule.start, schedule.until)
    longest = max(windows)
    return longest if longest[0] > _MINUTES_OF_DAY / 2 and longest[0] > min(windows)[0] else None


def _windows(start: str, until: str) -> list[tuple[int, int]]:
    """The minutes by the clock of each window of a day, and the minute of the day at which it opens."""
    cron = CronSim(start, datetime(2000, 1, 1, tzinfo=UTC))
    hour, minute = map(int, until.split(":"))
    opens = (60 * h + m for h in cron.hours for m in cron.minutes)
    return [((60 * hour + minute - at) % _MINUTES_OF_DAY, at) for at in opens]


def overlaps_itself(schedule: Schedule) -> bool:
    """Whether a due time comes before the window of the one before it has closed."""
    return schedule.until is not None and _overlaps(schedule.start, schedule.timezone, schedule.until)


@lru_cache(maxsize=256)
def _overlaps(start: str, timezone: str, until: str) -> bool:
    schedule = Schedule(name="", targets=(), start=start, timezone=timezone, until=until)
    times = list(islice(due_times(schedule, _ANY_TIME), _EXAMINED))
    windows = [closes_at(schedule, at) for at in times]
    return any(closes is not None and closes > due for closes, due in zip(windows, times[1:], strict=False))
