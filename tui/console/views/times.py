"""When things happen to a job, in the user's time zone."""

from __future__ import annotations

from engine import ParentJob
from tui.console.views.line import Line, Role, line, wrapped
from tui.presentation.text import cells, format_options, local_time, plain, unusual_options


def moment(at: int, beside: int) -> str:
    """`14:02:11`, with the date where it is another day than `beside`."""
    day, _, time = local_time(at).partition(" ")
    return time if day == local_time(beside)[: len(day)] else f"{day} {time}"


def limit(parent: ParentJob) -> str:
    """From when on nothing of a job starts, in words; empty where there is no such limit."""
    if parent.deadline_at is None:
        return ""
    stops = ", and what runs is stopped then" if parent.request.options.stop_at_limit else ", and no step"
    return f"no operation starts after {moment(parent.deadline_at, parent.created_at).removesuffix(':00')}{stops}"


def times(parent: ParentJob, width: int) -> list[Line]:
    """When it was asked for, began and ended, and how it is to be carried out."""
    asked = parent.created_at
    said = [f"asked {local_time(asked)}"]
    if parent.started_at:
        said.append(f"began {moment(parent.started_at, asked)}")
    if parent.finished_at:
        said.append(f"ended {moment(parent.finished_at, asked)}")
    if parent.retry_of:
        said.append(f"again after #{parent.retry_of}")
    if parent.pinned:
        said.append("pinned")
    said.append(", ".join(format_options(parent.request.options)))
    if parent.deadline_at is not None:
        said.append(limit(parent))
    return wrapped("  ".join(said), width, Role.DIM)


def short_times(parent: ParentJob, now: int, width: int) -> list[Line]:
    """The same in one line, as far as there is room for whole parts of it; the date only of another day."""
    began = parent.started_at or parent.created_at
    parts = [f"{'began' if parent.started_at else 'asked'} {moment(began, now)}"]
    if parent.finished_at:
        parts.append(f"ended {moment(parent.finished_at, began)}")
    if parent.retry_of:
        parts.append(f"again after #{parent.retry_of}")
    if parent.pinned:
        parts.append("pinned")
    parts += unusual_options(parent.request.options)
    said = ""
    for part in map(plain, parts):
        longer = f"{said}  {part}" if said else part
        said = longer if cells(longer) <= width else said
    return [line((said, Role.DIM))]
