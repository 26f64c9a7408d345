"""The lines that show on a terminal how jobs get on: pure functions."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from typing import Final

from engine import ChildJob, ParentJob, Status, remaining, run_duration
from engine.domain.steps import object_name
from tui.commands.naming import named
from tui.presentation.effect_summary import done_of, status_shown
from tui.presentation.job_status import ending, is_waiting, status_text, whole_left, whole_percent
from tui.presentation.text import GLYPH, cells, duration, padded, percent, plain, shortened, time_left

_COLOUR: Final = {
    Status.RUNNING: "36",
    Status.COMPLETED: "32",
    Status.FAILED: "31",
    Status.CANCELLED: "33",
    Status.SKIPPED: "33",
}
_BAR_WIDTH: Final = 16
_BAR_LEAST: Final = 6
_DOING_WIDTH: Final = 30
_DOING_LEAST: Final = 18
"""The width of `writing back  main`."""
_ELAPSED_WIDTH: Final = 7
_LEFT_WIDTH: Final = 17
"""The width of `about 23h59m left`."""

_INDENT: Final = " " * 8
_MOST_OF_A_WAIT: Final = 3
"""Lines."""

Line = tuple[Status, str]


def frame(jobs: Sequence[ParentJob], at: int, width: int) -> list[Line]:
    """All lines of the block: a parent, then its children, each at most so many cells wide while it runs."""
    lines: list[Line] = []
    names = max((len(child.operation) for job in jobs for child in job.children), default=0)
    for job in jobs:
        elapsed = duration(run_duration(job, at))
        name = named(job.target)
        whole = f"  about {left}" if (left := whole_left(job, at)) else ""
        lines.append(
            (
                status_shown(job),
                f"{GLYPH[status_shown(job)]} #{job.id} {name}  {status_text(job)}{whole_percent(job)}"
                f"  {done_of(job)} done  {elapsed}{whole}",
            )
        )
        for child in job.children:
            lines.append((status_shown(child), _child_line(child, at, max(names, 9), width)))
            if is_waiting(child):
                lines += [(status_shown(child), f"{_INDENT}{text}") for text in _wait_lines(child, width)]
    return lines


def _wait_lines(child: ChildJob, width: int) -> list[str]:
    """Lines that say what a child waits for, in full where there is room."""
    return textwrap.wrap(plain(child.progress.phase or ""), max(width - len(_INDENT), 20), max_lines=_MOST_OF_A_WAIT)


def _child_line(child: ChildJob, at: int, names: int, width: int) -> str:
    begin = f"   {GLYPH[status_shown(child)]} .{child.ordinal} {padded(child.operation, names)} "
    if child.status.is_final:
        return begin + ending(child, width - cells(begin))
    if child.status is not Status.RUNNING:
        return begin + status_text(child)
    return begin + _running(child, at, width - cells(begin))


def _running(child: ChildJob, at: int, room: int) -> str:
    """Bar, percent, phase, elapsed and remaining time: each in its place, so that nothing jumps.

    In a narrow window the bar gives way first, then the phase.
    """
    elapsed, progress = duration(run_duration(child, at)), child.progress
    if child.cancel_requested_at is not None:
        return "  ".join(filter(None, (elapsed, status_text(child), plain(object_name(progress.object)))))
    left = time_left(remaining(child, at))
    share = percent(progress.fraction) if progress.fraction is not None else ""
    head = f"{share:>4}  "
    tail = f"{elapsed:>{_ELAPSED_WIDTH}}  {f'about {left}' if left else '':{_LEFT_WIDTH}}"
    rest = room - len(head) - len(tail)
    length = min(rest - _DOING_LEAST - 1, _BAR_WIDTH)
    if length >= _BAR_LEAST:
        head = f"{_bar(progress.fraction, length)} {head}"
        rest -= length + 1
    phase = "waits" if is_waiting(child) else progress.phase
    doing = "  ".join(filter(None, (phase, plain(object_name(progress.object)))))
    return (head + padded(doing, min(rest, _DOING_WIDTH)) + tail).rstrip()


def _bar(fraction: float | None, length: int) -> str:
    filled = int((fraction or 0.0) * length)
    return "#" * filled + "." * (length - filled)


def fitted(lines: Sequence[Line], width: int, height: int) -> list[str]:
    """The lines cut to the terminal. In a low one, ended jobs make room for running ones."""
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
    """Go up over the `drawn` lines and write over them: each line is cleared behind its text, so nothing flickers."""
    up = f"\r\x1b[{drawn}A" if drawn else ""  # typed keys move the cursor
    return up + "".join(f"\r{line}\x1b[K\n" for line in lines) + ("\x1b[J" if drawn > len(lines) else "")
