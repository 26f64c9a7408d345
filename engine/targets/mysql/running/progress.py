"""The percent of a command, from what the server shows of it: pure.

MariaDB shows how large the new file of a table already is, or the stage of a copy; MySQL counts pages, and has counted
them all long before its end. Where nothing is known the duration of an earlier run counts, or nothing.
"""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen
from engine.domain.steps import WAITING, WaitsFor
from engine.targets.mysql.planning.steps import MySqlStep
from engine.targets.progress import ReportedFraction, approach_end, with_history
from engine.targets.step_execution import StepProgress

REPORT_AGE: Final = 0.2
"""Seconds."""
COUNTED_BY: Final = 0.24
"""The share of the time after which MySQL has counted all pages of a rebuild."""
DISK_IS_FULL: Final = "the disk of the server is full, and the server waits for space: free some there"
_COPYING: Final = 0.95
"""The share of copying in a rebuild by copy; the rest enables keys."""


@frozen
class Seen:
    """What one poll saw of a command."""

    state: str
    """The state in the process list: `altering table`."""
    stage: int = 0
    """Of MariaDB: the stage of a copy, from 1."""
    stage_percent: float = 0.0
    pages: int = 0
    """Of MySQL: the pages that are done."""
    of_pages: int = 0
    """Of MySQL: how many pages there are."""
    new_file: int | None = None
    """Of MariaDB: the bytes of the table's new file."""

    @property
    def waits_for_space(self) -> bool:
        """Engines without transactions wait until the disk has room, for hours if need be."""
        return self.state in {"Waiting for someone to free space", "Waiting for disk space"}

    @property
    def waits_for_lock(self) -> bool:
        return self.state.startswith("Waiting for ") and ("lock" in self.state or "flush" in self.state)


class Progress:
    """The progress of one step, updated poll by poll."""

    def __init__(self, step: MySqlStep, *, began: float, seconds: float | None) -> None:
        """`began`: by the clock of `update`. `seconds`: that it took before."""
        self._size = step.table.used_bytes if step.table is not None else 0
        self._began, self._seconds = began, seconds
        self._counted_at: float | None = None
        """When MySQL had counted all pages."""
        self._fraction = ReportedFraction()

    def update(self, seen: Seen, now: float, blockers: str = "") -> StepProgress:
        """`blockers`: who holds the lock that it waits for, as text."""
        if seen.waits_for_lock:
            phase = f"{WAITING}: {blockers or 'held by another session'}"
            return StepProgress(fraction=self._fraction.value, phase=phase, waits_for=WaitsFor.LOCK)
        if seen.waits_for_space:
            return StepProgress(fraction=self._fraction.value, phase=DISK_IS_FULL, waits_for=WaitsFor.SPACE)
        elapsed = now - self._began
        self._fraction.update(with_history(self._share(seen, elapsed), elapsed, REPORT_AGE, self._seconds))
        return StepProgress(fraction=self._fraction.value, phase=seen.state.lower() or None)

    def _share(self, seen: Seen, elapsed: float) -> float | None:
        if seen.new_file is not None and self._size:
            return approach_end(seen.new_file / self._size)
        if seen.of_pages:
            return self._by_pages(seen.pages / seen.of_pages, elapsed)
        if seen.stage:
            return _COPYING * seen.stage_percent / 100 if seen.stage == 1 else _COPYING
        return None

    def _by_pages(self, share: float, elapsed: float) -> float:
        if share < 1:
            return COUNTED_BY * share
        self._counted_at = self._counted_at or max(elapsed, REPORT_AGE)
        return approach_end(COUNTED_BY * elapsed / self._counted_at)
