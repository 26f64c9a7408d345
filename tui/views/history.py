"""A row of the history: one parent job that ever was."""

from __future__ import annotations

from engine import JobId, ParentJob
from tui.text import counted, local_time, plain
from tui.views.line import Line, Role, fit, named_column, right
from tui.views.status import STATUS_WIDTH, operations, status_span, time_taken


def history_row(parent: ParentJob, name: str, *, now: int, width: int) -> Line:
    """Number, time, target, operations, status, children, duration.

    The operations give way first, then the seconds, then the year or the time of the day, and the children.
    """
    when = _when(parent.created_at, now, width)
    number = fit(f"#{parent.id}", max(len(str(parent.id)) + 1, 6))
    pinned = "  pinned" if parent.pinned else ""
    done = right(f"{parent.done}/{len(parent.children)}", 4) if width >= 70 else ""
    room = width - len(number) - len(when) - 5 - STATUS_WIDTH - len(done) - 8
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
            (done, Role.TEXT),
            (right(time_taken(parent, now), 8), Role.DIM),
        ),
        JobId(parent.id),
    )


def _when(at: int, now: int, width: int) -> str:
    """`2026-11-24 12:02:03`; where it is narrow `11-24 12:02` of this year, `2025-11-24` of another."""
    when = local_time(at)
    if width >= 70:
        return when[: 19 if width >= 100 else 16]
    return when[5:16] if when[:4] == local_time(now)[:4] else fit(when[:10], 11)


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
