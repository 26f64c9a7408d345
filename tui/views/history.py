"""A row of the history: one parent job that ever was."""

from __future__ import annotations

from engine import JobId, ParentJob
from tui.text import counted, local_time, plain
from tui.views.line import Line, Role, fit, named_column, right
from tui.views.status import STATUS_WIDTH, operations, status_span, time_taken


def history_row(parent: ParentJob, name: str, *, now: int, width: int) -> Line:
    """Number, time, target, operations, status, children, duration; the seconds and the operations give way."""
    wide = width >= 100
    when = local_time(parent.created_at)[: 19 if wide else 16]
    number = fit(f"#{parent.id}", max(len(str(parent.id)) + 1, 6))
    pinned = "  pinned" if parent.pinned else ""
    room = width - len(number) - len(when) - 5 - STATUS_WIDTH - 4 - 8
    name_width = room - len(pinned) if room < 30 else min(max(room - 36, 20), 40)
    asked = fit("  " + operations(parent), room - name_width - len(pinned))
    return Line(
        (
            (number + " ", Role.DIM),
            (when + "  ", Role.DIM),
            *named_column(name, name_width),
            (asked, Role.DIM),
            (pinned, Role.STRONG),
            ("  ", Role.TEXT),
            status_span(parent),
            (right(f"{parent.done}/{len(parent.children)}", 4), Role.TEXT),
            (right(time_taken(parent, now), 8), Role.DIM),
        ),
        JobId(parent.id),
    )


def placeholder_row(job_id: int) -> Line:
    """What stands in for a row that has not been read yet."""
    return Line(((f"#{job_id} …", Role.DIM),), JobId(job_id))


def found_in_words(found: int, total: int | None, words: str, *, complete: bool) -> str:
    """`1,204 of 1,000,000 jobs  status:failed`; `words`: the filter in force."""
    so_far = "" if complete else " so far"
    if not words:
        return counted(found, "job") + so_far
    of = f"{found:,} of {counted(total, 'job')}" if total is not None else counted(found, "job")
    return f"{of}{so_far}  {plain(words)}"
