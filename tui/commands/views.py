"""What is seen of jobs while they run: lines redrawn in place on a terminal, lines appended in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from engine import ChildJob, JobId, ParentJob, Status
from engine.clock import now
from tui.commands import output, report
from tui.commands.live_lines import fitted, frame, redraw

_HALF_A_MINUTE: Final = 30_000_000


class View(Protocol):
    interval: float | None
    """Seconds after which `show` is wanted even if nothing changed status; None: only then."""

    def show(self, jobs: Sequence[ParentJob]) -> None: ...

    def announce(self, text: str) -> None:
        """Say something on stderr besides."""
        ...


class SilentView:
    """For `--json`: the result is all there is."""

    interval: float | None = None

    def show(self, jobs: Sequence[ParentJob]) -> None:
        pass

    def announce(self, text: str) -> None:
        output.notice(text)


class PlainView:
    """One line per event, appended; of what takes long now and then how far it is."""

    interval: float | None = 1.0

    def __init__(self) -> None:
        self._seen: dict[JobId, ChildJob] = {}
        self._milestones = Milestones()

    def show(self, jobs: Sequence[ParentJob]) -> None:
        for job in jobs:
            for event in (*report.events(self._seen, job), *self._milestones.reached(job, now())):
                output.line(event)
            self._seen |= {child.id: child for child in job.children}

    def announce(self, text: str) -> None:
        output.notice(text)


class Milestones:
    """Tells of every tenth that a child has got on, but never twice in half a minute: short work says nothing."""

    def __init__(self) -> None:
        self._told: dict[tuple[JobId, int], tuple[int, int]] = {}

    def reached(self, job: ParentJob, at: int) -> Iterator[str]:
        """A line for each child of `job` of which there is something to tell at this time."""
        for child in job.children:
            fraction, key = child.progress.fraction, (child.id, child.attempt)
            if child.status is not Status.RUNNING or fraction is None or child.started_at is None:
                continue
            tenth, told_at = self._told.get(key, (0, child.started_at))
            if int(fraction * 10) > tenth and at - told_at >= _HALF_A_MINUTE:
                self._told[key] = int(fraction * 10), at
                yield report.halfway(job, child, at)


class LiveView:
    """A block of lines redrawn in place, at most four times a second; its last state stays."""

    interval: float | None = 0.25

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def show(self, jobs: Sequence[ParentJob]) -> None:
        width, height = shutil.get_terminal_size()
        lines = fitted(frame(jobs, now(), width - 1), width, height)
        if lines != self._drawn:
            output.write(redraw(len(self._drawn), lines))
            self._drawn = lines

    def announce(self, text: str) -> None:
        """Above the block, which would otherwise be redrawn over it."""
        output.write(redraw(len(self._drawn), []))
        self._drawn = []
        output.notice(text)


def view_for_stdout() -> View:
    return LiveView() if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" else PlainView()
