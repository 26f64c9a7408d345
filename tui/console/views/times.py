"""When a job was created, started and finished, as lines."""

from __future__ import annotations

from engine import ParentJob
from tui.console.views.line import Line, Role, line, wrapped
from tui.presentation.job_times import limit_of, moment, origin_parts, time_parts
from tui.presentation.text import cells, format_options, plain, unusual_options


def times(parent: ParentJob, width: int) -> list[Line]:
    """Its times, its options and its time limit."""
    options = ", ".join(format_options(parent.request.options))
    parts = [*time_parts(parent), *origin_parts(parent), options, limit_of(parent)]
    return wrapped("  ".join(filter(None, parts)), width, Role.DIM)


def short_times(parent: ParentJob, now: int, width: int) -> list[Line]:
    """The same in one line: whole parts, as many as fit; with a date only for another day."""
    begin = parent.started_at or parent.created_at
    parts = [f"{'started' if parent.started_at else 'created'} {moment(begin, now)}"]
    if parent.finished_at:
        parts.append(f"finished {moment(parent.finished_at, begin)}")
    parts += [*origin_parts(parent), *unusual_options(parent.request.options)]
    text = ""
    for part in map(plain, parts):
        longer = f"{text}  {part}" if text else part
        text = longer if cells(longer) <= width else text
    return [line((text, Role.DIM))]
