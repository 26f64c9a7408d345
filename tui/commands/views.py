"""What is seen of jobs while they run: lines redrawn in place on a terminal, lines appended in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from engine import ChildJob, JobId, ParentJob, Status, run_duration
from engine.clock import now
from tui.commands import output, report
from tui.text import GLYPH, duration, padded, plain, shortened, target_name

_COLOUR: Final = {
    Status.RUNNING: "36",
    Status.COMPLETED: "32",
    Status.FAILED: "31",
    Status.CANCELLED: "33",
    Status.SKIPPED: "33",
}
_BAR_WIDTH: Final = 16


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
    """One line per event, appended."""

    interval: float | None = 1.0

    def __init__(self) -> None:
        self._seen: dict[JobId, ChildJob] = {}

    def show(self, jobs: Sequence[ParentJob]) -> None:
        for job in jobs:
            for event in report.events(self._seen, job):
                output.line(event)
            self._seen |= {child.id: child for child in job.children}

    def announce(self, text: str) -> None:
        output.notice(text)


class LiveView:
    """A block of lines redrawn in place, at most four times a second; its last state stays."""

    interval: float | None = 0.25

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def show(self, jobs: Sequence[ParentJob]) -> None:
        width, height = shutil.get_terminal_size()
        lines = fitted(frame(jobs, now()), width, height)
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


Line = tuple[Status, str]


def frame(jobs: Sequence[ParentJob], at: int) -> list[Line]:
    """All lines of the block: a parent, then its children."""
    lines: list[Line] = []
    for job in jobs:
        elapsed = duration(run_duration(job, at))
        name = target_name(job.target)
        lines.append(
            (
                job.status,
                f"{GLYPH[job.status]} #{job.id} {name}  {job.status}  {job.done}/{len(job.children)}  {elapsed}",
            )
        )
        lines += [(child.status, _child_line(child, at)) for child in job.children]
    return lines


def _child_line(child: ChildJob, at: int) -> str:
    begin = f"   {GLYPH[child.status]} .{child.ordinal} {padded(child.operation, 9)} "
    if child.status.is_final:
        return begin + report.ending(child)
    if child.status is not Status.RUNNING:
        return begin + child.status
    parts = [duration(run_duration(child, at)), plain(child.progress.object or "")]
    if child.progress.fraction is not None:
        filled = round(child.progress.fraction * _BAR_WIDTH)
        parts.insert(0, f"{'#' * filled}{'.' * (_BAR_WIDTH - filled)} {child.progress.fraction:4.0%}")
    if child.cancel_requested_at:
        parts.append(report.state(child))
    return begin + "  ".join(filter(None, parts))


def fitted(lines: Sequence[Line], width: int, height: int) -> list[str]:
    """The lines cut to the terminal. Where it is too low, what is over makes room for what runs."""
    room = max(1, height - 1)
    if len(lines) > room:
        urgent = sorted(range(len(lines)), key=lambda at: (lines[at][0] is not Status.RUNNING, at))[: room - 1]
        hidden = len(lines) - len(urgent)
        lines = [*(lines[at] for at in sorted(urgent)), (Status.PENDING, f"... and {hidden} more lines")]
    coloured = "NO_COLOR" not in os.environ
    return [_coloured(status, shortened(text, width - 1), on=coloured) for status, text in lines]


def _coloured(status: Status, text: str, *, on: bool) -> str:
    code = _COLOUR.get(status)
    return f"\x1b[{code}m{text}\x1b[0m" if on and code else text


def redraw(drawn: int, lines: Sequence[str]) -> str:
    """Go up over what was `drawn` and write over it: each line is cleared behind its text, so nothing flickers."""
    up = f"\x1b[{drawn}A" if drawn else ""
    return up + "".join(f"\r{line}\x1b[K\n" for line in lines) + ("\x1b[J" if drawn > len(lines) else "")
