"""The status of a job as coloured spans, and the head of its page."""

from __future__ import annotations

from rich.cells import cell_len

from engine import ChildJob, JobId, ParentJob, Status
from tui.console.views.line import Line, Role, Span, filled, fit, line, named
from tui.presentation.job_status import format_status, whole_left, whole_percent
from tui.presentation.job_times import format_elapsed, limit_of, moment, origin_parts, time_parts
from tui.presentation.text import GLYPH, cells, format_options, plain, shortened, unusual_options

STATUS_WIDTH = 12
"""Cells of the usual statuses; `× unreachable` needs one more."""
PINNED = "pinned"
BAR_FULL, BAR_EMPTY = "━", "─"


def _status(job: ChildJob | ParentJob) -> Span:
    """Glyph and word of a status, in its colour; of a running parent how much of the whole is done, too."""
    status, word = format_status(job)
    return f"{GLYPH[status]} {word}{whole_percent(job)}", Role(status.value)


def status_span(job: ChildJob | ParentJob, width: int = STATUS_WIDTH) -> Span:
    """The status in exactly `width` cells."""
    text, role = _status(job)
    return fit(text, width), role


def status_width(job: ChildJob | ParentJob) -> int:
    """Cells that its status needs, at least those of the usual ones."""
    return max(STATUS_WIDTH, cell_len(_status(job)[0]))


def status_beside(job: ChildJob | ParentJob) -> Span:
    """The status, in a line where more text follows."""
    text, role = _status(job)
    return f"{text.rstrip()}  ", role


def head_of(parent: ParentJob, name: str, now: int, width: int) -> list[Line]:
    """Name and status of a job with its duration; in two lines where one is too narrow: a cut duration misleads."""
    name_spans: list[Span] = [(f"#{parent.id} ", Role.DIM), *named(name)]
    times = f"{time_taken(parent, now)}  {whole_left(parent, now)}".rstrip()
    status_spans: list[Span] = [status_beside(parent), (times, Role.TEXT)]
    whole = line(*name_spans, "  ", *status_spans)
    if cell_len(whole.text.rstrip()) <= width:
        return [whole]
    number = name_spans[0]
    return [line(number, *named(name, width - len(number[0]))), line(*status_spans)]


def child_of(parent: ParentJob, job: JobId) -> ChildJob | None:
    """The child that `job` names; None where it names the parent."""
    return next((child for child in parent.children if child.ordinal == job.ordinal), None)


def bar(fraction: float, width: int) -> tuple[Span, Span]:
    """A bar of `width` cells, filled to `fraction`."""
    filled = round(min(max(fraction, 0.0), 1.0) * width)
    return (BAR_FULL * filled, Role.BAR), (BAR_EMPTY * (width - filled), Role.DIM)


def operations(parent: ParentJob, width: int | None = None) -> str:
    """`vacuum analyze`; in `width` cells as many as fit, and the number of the others: `vacuum +3`.

    Then the operations that failed come first.
    """
    names = [operation.value for operation in parent.request.operations]
    whole = " ".join(names)
    if width is None or len(whole) <= width:
        return whole
    if parent.status is Status.FAILED:
        failed = {child.operation.value for child in parent.children if child.status is Status.FAILED}
        names.sort(key=lambda name: name not in failed)
    shorter = (" ".join([*names[:shown], f"+{len(names) - shown}"]) for shown in range(len(names) - 1, 0, -1))
    return next((text for text in shorter if len(text) <= width), shortened(names[0], width))


def time_taken(job: ChildJob | ParentJob, now: int) -> str:
    """How long it has run, or took; "" before it starts."""
    return format_elapsed(job.started_at, job.finished_at, now)


def times(parent: ParentJob, width: int) -> list[Line]:
    """Its times, its options and its time limit."""
    options = ", ".join(format_options(parent.request.options))
    parts = [*time_parts(parent), *origin_parts(parent), options, limit_of(parent)]
    return filled(parts, width, Role.DIM)


def short_times(parent: ParentJob, now: int, width: int) -> list[Line]:
    """The times in one line: whole parts, as many as fit; with a date only for another day."""
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
