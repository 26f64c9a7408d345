"""How far a step is by an earlier run of it: pure.

A run records the count of its work over time, for a million rows. The next run of the command compares its own count
with that. So it matters neither how fast the machine is now, nor whether the work is counted evenly, nor that the table
has grown.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from engine.targets.progress import approach_end

Course = tuple[int, ...]
"""The count for a million rows at each twentieth of the time of a run; empty: not known."""
_A_MILLION: Final = 1_000_000
POINTS: Final = 20
SHORTEST: Final = 0.3
"""Seconds: of a shorter run too little was seen."""
_MOST_SEEN: Final = 512
"""Of the counts of a long run every second one is dropped, again and again."""
_UNSURE: Final = 0.02
"""How much the count of the same work may differ, as a share of it."""
_NARROW: Final = 0.1
"""Shares of the time that the counts leave open, up to which they tell the pace of this run."""


class CourseRecorder:
    """Records the course of one run."""

    def __init__(self, rows: int) -> None:
        """`rows`: of the table; 0: not known."""
        self._rows = rows
        self._seen: list[tuple[float, int]] = [(0.0, 0)]
        self._skipped = 0
        self._every = 1

    def add(self, worked: float, count: int) -> None:
        """`worked`: seconds of work so far. `count`: it does not shrink."""
        self._skipped += 1
        if self._skipped < self._every:
            return
        self._skipped = 0
        self._seen.append((max(worked, self._seen[-1][0]), max(count, self._seen[-1][1])))
        if len(self._seen) > _MOST_SEEN:
            self._seen, self._every = self._seen[::2], 2 * self._every

    def course(self, worked: float) -> Course:
        """`worked`: the seconds of work of the whole run."""
        if worked < SHORTEST or not self._seen[-1][1] or not self._rows:
            return ()
        scale = _A_MILLION / self._rows
        return tuple(round(scale * _at(self._seen, worked * point / POINTS)) for point in range(1, POINTS + 1))


class AlongCourse:
    """How far a run is."""

    def __init__(self, course: Course, seconds: float, rows: int) -> None:
        """`course`: of the earlier run, not empty. `seconds`: that such a run takes. `rows`: of the table now."""
        self._course = course
        self._scale = _A_MILLION / rows
        self._whole = seconds

    def share(self, count: int, worked: float) -> float:
        """The share of its time that is over. Where the counts leave it open, time decides, at the pace of this run."""
        earliest, latest = between(self._course, self._scale * count)
        if latest - earliest <= _NARROW:
            share = (earliest + latest) / 2
            if share > _NARROW:
                self._whole = worked / share
            return share
        return min(max(approach_end(worked / self._whole), earliest), latest)


def between(course: Course, count: float) -> tuple[float, float]:
    """The shares of its time between which a run with this course had counted so much, nearly."""
    points = [(0, 0.0), *((counted, number / POINTS) for number, counted in enumerate(course, 1))]
    least, most = count * (1 - _UNSURE), count * (1 + _UNSURE)
    earliest = next((_within(*two, least) for two in pairwise(points) if two[1][0] >= least), 1.0)
    latest = next((_within(*two, most) for two in pairwise(points) if two[1][0] > most), 1.0)
    return earliest, max(earliest, latest)


def _at(seen: Sequence[tuple[float, int]], worked: float) -> float:
    """The count after so many seconds."""
    return next((_within(*two, worked) for two in pairwise(seen) if two[1][0] >= worked), seen[-1][1])


def _within(left: tuple[float, float], right: tuple[float, float], x: float) -> float:
    """The y of a point on the line between two."""
    (begin, low), (end, high) = left, right
    return low + (high - low) * (x - begin) / (end - begin) if end > begin else low
