"""How running jobs are shown: lines redrawn in place on a terminal, lines appended in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from engine import ChildJob, JobId, ParentJob, Status
from engine.domain.steps import WaitsFor
from engine.system.clock import now
from tui.commands import output, report
from tui.commands.live_lines import Line, fitted, frame, redraw
from tui.presentation.job_status import is_waiting

_A_SECOND: Final = 1_000_000
_HALF_A_MINUTE: Final = 30_000_000
_Wait = tuple[JobId, int, WaitsFor | None]
"""A child, its attempt, and why it waits."""


class View:
    """How running jobs are shown. This one, for `--json`, shows nothing until all is over."""

    interval: float | None = None
    """Seconds after which `show` is wanted even if nothing changed status; None: only then."""
    reports_busy = True
    """Whether it reports that jobs wait for other jobs."""

    def show(self, jobs: Sequence[ParentJob]) -> None:
        """All jobs the first time; from then on those that were open the last time, and all at the end."""

    def announce(self, text: str) -> None:
        """Say something on stderr besides."""
        output.notice(text)

    def remark(self, text: str) -> None:
        """Say what needs nobody's attention."""


class QuietView(View):
    """For `--quiet`."""

    reports_busy = False


class PlainView(View):
    """One line per event, appended; of what takes long now and then how far it is."""

    interval = 1.0

    def __init__(self) -> None:
        self._seen: dict[JobId, ChildJob] = {}
        self._milestones, self._waits = Milestones(), LockWaitTimer()

    def remark(self, text: str) -> None:
        output.line(text)

    def show(self, jobs: Sequence[ParentJob]) -> None:
        for job in jobs:
            at = now()
            events = (*report.events(self._seen, job), *self._waits.begun(job, at), *self._milestones.reached(job, at))
            for event in events:
                output.line(event)
            self._seen |= {child.id: child for child in job.children}


class Milestones:
    """Tells of every tenth that a child has got on, but never twice in half a minute: short work says nothing."""

    def __init__(self) -> None:
        self._reported: dict[tuple[JobId, int], tuple[int, int]] = {}

    def reached(self, job: ParentJob, at: int) -> Iterator[str]:
        """A line for each child of `job` with news to report now."""
        for child in job.children:
            fraction, key = child.progress.fraction, (child.id, child.attempt)
            if child.status is not Status.RUNNING or fraction is None or child.started_at is None:
                continue
            tenth, reported_at = self._reported.get(key, (0, child.started_at))
            if int(fraction * 10) > tenth and at - reported_at >= _HALF_A_MINUTE:
                self._reported[key] = int(fraction * 10), at
                yield report.progress_line(job, child, at)


class LockWaitTimer:
    """Tells what a child waits for, once that has lasted a second, but never twice in half a minute."""

    def __init__(self) -> None:
        self._since: dict[_Wait, int] = {}
        self._reported: dict[_Wait, int] = {}

    def begun(self, job: ParentJob, at: int) -> Iterator[str]:
        """A line for each waiting child of `job` whose wait was not reported yet."""
        for child in job.children:
            wait = child.id, child.attempt, child.progress.waits_for
            if not is_waiting(child):
                self._since = {other: since for other, since in self._since.items() if other[0] != child.id}
                continue
            since = self._since.setdefault(wait, at)
            reported = self._reported.get(wait)
            if at - since >= _A_SECOND and (reported is None or (reported < since and at - reported >= _HALF_A_MINUTE)):
                self._reported[wait] = at
                yield report.wait_line(job, child)


class LiveView(View):
    """A block of lines redrawn in place, at most four times a second; its last state stays."""

    interval = 0.25

    def __init__(self, lines: Callable[[Sequence[ParentJob], int, int], Sequence[Line]] = frame) -> None:
        """`lines`: the block for these jobs, at this time, in so many cells."""
        self._lines = lines
        self._drawn: list[str] = []

    def show(self, jobs: Sequence[ParentJob]) -> None:
        width, height = shutil.get_terminal_size()
        lines = fitted(self._lines(jobs, now(), width - 1), width, height)
        if lines != self._drawn:
            output.write(redraw(len(self._drawn), lines))
            self._drawn = lines

    def announce(self, text: str) -> None:
        """Print a text above the block, which would otherwise be redrawn over it."""
        output.write(redraw(len(self._drawn), []))
        self._drawn = []
        output.notice(text)

    remark = announce


def stdout_is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def view_for_stdout() -> View:
    return LiveView() if stdout_is_terminal() else PlainView()
