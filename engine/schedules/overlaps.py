"""Schedules that are open at the same time on the same targets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import combinations, islice
from typing import Final

from engine.config.model import Config
from engine.domain.due_times import closes_at, due_times_until
from engine.domain.errors import DbtendError
from engine.domain.frozen import frozen
from engine.domain.schedules import Schedule
from engine.domain.steps import Micros
from engine.fleet.patterns import member_name
from engine.fleet.target_words import entries_of
from engine.inspection import inspector

_DAY: Final = 86_400 * 1_000_000
_AHEAD: Final = 35 * _DAY
"""Longer than a month, so that a monthly schedule is due once."""
_MOST: Final = 2_000
"""Due times of a schedule that are looked at."""
_MOST_BESIDE: Final = 48
"""Due times of another schedule that are planned beside one."""

_Window = tuple[Micros, Micros]
Place = tuple[str, tuple[str, ...]]
"""The canonical URL of a target or pattern, and what the pattern leaves out."""


@frozen
class Overlap:
    one: Schedule
    other: Schedule
    at: Micros
    """When both are open first."""


def overlaps(config: Config, now: Micros, *, disabled: Collection[str]) -> list[Overlap]:
    """The overlaps of the next weeks, by the words of the config file: no target is opened. Reads the disk."""
    enabled = [schedule for schedule in config.schedules if schedule.name not in disabled]
    places = {schedule.name: list(places_of(schedule, config)) for schedule in enabled}
    windows = {schedule.name: list(_windows(schedule, now)) for schedule in enabled}
    found = []
    for one, other in combinations(enabled, 2):
        if _share(places[one.name], places[other.name]):
            at = _first_common(windows[one.name], windows[other.name])
            if at is not None:
                found.append(Overlap(one, other, at))
    return found


def due_beside(schedule: Schedule, due_at: Micros, others: Iterable[Schedule]) -> list[tuple[Schedule, list[Micros]]]:
    """The other schedules that may need workers while a due time is worked on, and when they are due.

    Work without an end is expected to take a day at most. One that does what is needed has done that the first time.
    """
    ends = closes_at(schedule, due_at) or due_at + _DAY
    found = []
    for other in others:
        dues = due_times_until(other, due_at - _DAY, ends - 1)
        beside = list(islice((due for due in dues if (closes_at(other, due) or due + _DAY) > due_at), _MOST_BESIDE))
        if other.name != schedule.name and beside:
            found.append((other, beside if other.operations is not None else beside[:1]))
    return found


def places_of(schedule: Schedule, config: Config) -> Iterator[Place]:
    """What a schedule names, by the words of the config file. Reads the disk."""
    try:
        for entry in entries_of(schedule, config):
            yield inspector.canonical_url(entry.url), (*schedule.exclude, *entry.exclude)
    except DbtendError:  # to fire it says why
        return


def _share(some: Sequence[Place], others: Sequence[Place]) -> bool:
    return any(
        url == other or member_name(url, other, exclude) or member_name(other, url, other_exclude)
        for url, exclude in some
        for other, other_exclude in others
    )


def _windows(schedule: Schedule, now: Micros) -> Iterator[_Window]:
    """The windows from each due time to its end; without an end only the due time itself is known."""
    for due in islice(due_times_until(schedule, now, now + _AHEAD), _MOST):
        yield due, closes_at(schedule, due) or due + 1


def _first_common(some: Sequence[_Window], others: Sequence[_Window]) -> Micros | None:
    """When two are open at once first."""
    left, right = iter(some), iter(others)
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        if max(one[0], other[0]) < min(one[1], other[1]):
            return max(one[0], other[0])
        if one[1] <= other[1]:
            one = next(left, None)
        else:
            other = next(right, None)
    return None
