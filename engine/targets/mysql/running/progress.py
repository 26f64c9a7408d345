"""The percent of a command, from what the server shows of it: pure.

A rebuild writes a new file: MariaDB shows its size, or the stage of a copy, MySQL the bytes written to it and to the
files in which it sorts. Of other commands it is seen how long their thread has used a processor, where the server runs
on this machine: beside an earlier run that says how far they are. Where nothing is seen only the duration of that run
counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.steps import WAITING, WaitsFor
from engine.targets.course import AlongCourse, Course, CourseRecorder
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.reading.tables import Table
from engine.targets.progress import ReportedFraction, approach_end, with_history
from engine.targets.step_execution import StepProgress

DISK_IS_FULL: Final = "the disk of the server is full, and the server waits for space: free some there"
_LOCKED_TABLES: Final = "System lock"
"""The state of MySQL while it checks a table: it has the lock since."""
_COPYING: Final = 0.95
"""The share of copying in a rebuild by copy; the rest enables keys."""
_SORTED_AT_FIRST: Final = 131_072
"""Bytes that MySQL sorts in memory. Each further pass reads and writes all entries, in runs twice as long."""


@frozen
class Seen:
    """What one poll saw of a command."""

    state: str
    """The state in the process list: `altering table`."""
    stage: int = 0
    """Of MariaDB: the stage of a copy, from 1."""
    stage_percent: float = 0.0
    new_file: int | None = None
    """The bytes of the table's new files."""
    sorting: int | None = None
    """The bytes that MySQL has read and written to sort for it, see `shared`; MariaDB does not tell."""
    used: int | None = None
    """Milliseconds of a processor that its thread has used since it began."""

    @property
    def waits_for_space(self) -> bool:
        """Engines without transactions wait until the disk has room, for hours if need be."""
        return self.state in {"Waiting for someone to free space", "Waiting for disk space"}

    @property
    def waits_for_lock(self) -> bool:
        return self.state.startswith("Waiting for ") and ("lock" in self.state or "flush" in self.state)

    @property
    def waits_for_global_lock(self) -> bool:
        """Whether another session has made the whole server read-only: FLUSH TABLES WITH READ LOCK."""
        return self.state == "Waiting for global read lock"


class Progress:
    """The progress of one step, updated poll by poll."""

    def __init__(self, step: MySqlStep, *, began: float, seconds: float | None) -> None:
        """`began`: by the clock of `update`. `seconds`: that it took before."""
        table = step.table
        rows = sum(part.rows for part in table.parts)
        self._counts_bytes, self._is_check = step.method is Method.REBUILD, step.method is Method.CHECK
        self._to_write = max(min(table.used_bytes, table.size - step.gain), 0)
        """Bytes of a rebuild, about; what it sorts comes on top."""
        self._to_sort = sorted_bytes(table.index_bytes)
        self._seconds = seconds
        self._along = AlongCourse(step.past_course, seconds, rows) if step.past_course and seconds and rows else None
        self._recorder = CourseRecorder(rows)
        self._at = began
        self._worked = 0.0
        """Seconds until then, without waits."""
        self._fraction = ReportedFraction()

    def update(self, seen: Seen, now: float, blockers: str = "") -> StepProgress:
        """`blockers`: who holds the lock that it waits for, as text."""
        passed, self._at = now - self._at, now
        if seen.waits_for_lock:
            phase = f"{WAITING}: {blockers or 'held by another session'}"
            return StepProgress(fraction=self._fraction.value, phase=phase, waits_for=WaitsFor.LOCK)
        if seen.waits_for_space:
            return StepProgress(fraction=self._fraction.value, phase=DISK_IS_FULL, waits_for=WaitsFor.SPACE)
        self._worked += passed
        self._fraction.update(self._share(seen, self._count(seen)))
        phase = "checking" if self._is_check and seen.state == _LOCKED_TABLES else seen.state.lower()
        return StepProgress(fraction=self._fraction.value, phase=phase or None)

    def course(self, ended: float) -> Course:
        """What it has counted, for the next run. `ended`: by the clock of `update`."""
        return self._recorder.course(self._worked + max(ended - self._at, 0.0))

    def _count(self, seen: Seen) -> int | None:
        """Of its work so far; None: that is not seen."""
        if self._counts_bytes:
            return None if seen.new_file is None else seen.new_file + (seen.sorting or 0)
        return seen.used

    def _share(self, seen: Seen, count: int | None) -> float | None:
        if count is not None:
            self._recorder.add(self._worked, count)
            if self._along is not None:
                return self._along.share(count, self._worked)
        return with_history(self._modelled(seen, count), self._worked, self._seconds)

    def _modelled(self, seen: Seen, count: int | None) -> float | None:
        if self._counts_bytes and count is not None and self._to_write:
            return approach_end(count / (self._to_write + (0.0 if seen.sorting is None else self._to_sort)))
        if seen.stage:
            return _COPYING * seen.stage_percent / 100 if seen.stage == 1 else _COPYING
        return None


def shared(sorted_now: int, tables: Mapping[int, Table]) -> Mapping[int, float]:
    """Bytes that were sorted for all rebuilds at once, as shares of each, by what each has to sort."""
    expected = {number: sorted_bytes(table.index_bytes) for number, table in tables.items()}
    whole = sum(expected.values())
    return {number: sorted_now * one / whole for number, one in expected.items()} if whole else {}


def sorted_bytes(entries: int) -> float:
    """What MySQL reads and writes to sort so many bytes of entries of indexes."""
    return 2 * entries * max(math.log2(entries / _SORTED_AT_FIRST), 0.0) if entries else 0.0
