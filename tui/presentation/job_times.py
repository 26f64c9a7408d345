"""When a job was created, started and finished, and until when it may start operations."""

from __future__ import annotations

from engine import BatchId, Options, ParentJob
from engine.domain.humanize import span
from tui.presentation.text import duration, local_time, plain, precise_duration


def moment(at: int, beside: int) -> str:
    """`14:02:11`, with the date unless it is the day of `beside`."""
    day, _, time = local_time(at).partition(" ")
    return time if day == local_time(beside)[: len(day)] else f"{day} {time}"


def format_elapsed(started_at: int | None, finished_at: int | None, now: int) -> str:
    """Whole seconds while it runs, so that little changes on the screen; exact when it is finished; "" before."""
    if started_at is None:
        return ""
    seconds = max((finished_at or now) - started_at, 0) / 1e6  # the clock may be behind
    return precise_duration(seconds) if finished_at is not None else duration(seconds)


def time_parts(parent: ParentJob) -> list[str]:
    """`created 2026-11-24 14:02:11`, `started 14:02:12`, `finished 14:03:40`, so far."""
    created = parent.created_at
    parts = [f"created {local_time(created)}"]
    parts += [f"started {moment(parent.started_at, created)}"] if parent.started_at else []
    parts += [f"finished {moment(parent.finished_at, created)}"] if parent.finished_at else []
    return parts


def origin_parts(parent: ParentJob) -> list[str]:
    """`retry of #41`, `batch b17`, `pinned`."""
    parts = [f"retry of #{parent.retry_of}"] if parent.retry_of else []
    parts += [f"batch {BatchId(parent.batch)}"] if parent.batch else []
    parts += [f"schedule {parent.schedule}"] if parent.schedule else []
    parts += [f"starts {moment(parent.starts_at, parent.created_at)}"] if parent.starts_at else []
    parts += [plain(f"{label} {who}") for label, who in people(parent)]
    return [*parts, "pinned"] if parent.pinned else parts


def people(parent: ParentJob) -> list[tuple[str, str]]:
    """Who submitted it, and who cancelled it, with a label; in a store that people share."""
    named = (("by", parent.submitted_by), ("cancelled by", parent.cancelled_by))
    return [(label, who) for label, who in named if who]


def limit_text(options: Options, deadline_at: int, beside: int) -> str:
    """`no operation starts after 06:00:00 (until 06:00), and no further step`.

    Args:
        beside: a time whose day need not be named again.
    """
    given = [f"after {span(options.time_limit)}"] if options.time_limit is not None else []
    given += [f"until {options.until}"] if options.until is not None else []
    then = ", and running ones are cancelled" if options.stop_at_limit else ", and no further step"
    which = f" ({', '.join(given)})" if given else ""
    return f"no operation starts after {moment(deadline_at, beside)}{which}{then}"


def limit_of(parent: ParentJob) -> str:
    """The time limit of a job; "" where it has none."""
    if parent.deadline_at is None:
        return ""
    return limit_text(parent.request.options, parent.deadline_at, parent.created_at)
