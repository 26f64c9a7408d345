"""A row of the history."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len

from engine import JobId, ParentJob, Status
from engine.domain.batches import Batch, BatchId
from engine.domain.frozen import frozen
from tui.console.views.batch_rows import counts_in
from tui.console.views.line import Line, Role, Span, both_ends, fit, named_column, right, span_cells
from tui.console.views.status import PINNED, STATUS_WIDTH, operations, status_span, time_taken
from tui.presentation.batch_summary import targets_in
from tui.presentation.effect_summary import done_of, first_error, job_effect
from tui.presentation.job_status import interruption, outcome
from tui.presentation.text import counted, local_time, plain

NUMBER_LEAST: Final = 5
NAME_LEAST: Final = 12
NAME_MOST: Final = ((130, 40), (100, 24), (0, 16))
"""Cells of target names, at most, for each least width of the list."""
OPERATIONS_MOST: Final = 32
"""Cells of the four usual operations."""
FOLDED: Final = "► "
UNFOLDED: Final = "▼ "
"""The signs before a batch."""
PIN: Final = "*"
"""The mark of a pinned job, if the word does not fit."""
GAP: Final = 2


@frozen
class Columns:
    """Cells of each column; 0: no column."""

    number: int
    name: int
    status: int
    operations: int = 0
    when: int = 0
    took: int = 0
    effect: int = 0


def columns(number: int, names: int, width: int, *, statuses: int = STATUS_WIDTH) -> Columns:
    """The columns that fit: number, name and status; then operations, time, duration and effect, in that order.

    Spare cells go to the names, then to the operations and to the effect.

    Args:
        number: cells of the longest number.
        names: cells of the longest name.
        statuses: cells of the longest status.
    """
    number = max(number, NUMBER_LEAST)
    name = min(max(names, 6), NAME_LEAST)
    room = width - number - name - statuses - 2 * GAP
    found: dict[str, int] = {}
    for column, least in (("operations", 10), ("when", _when_width(width)), ("took", 8), ("effect", 12)):
        if room >= GAP + least:
            found[column] = least
            room -= GAP + least
    most = next(most for least, most in NAME_MOST if width >= least)
    wider = max(min(min(names, most) - name, room), 0)
    name, room = name + wider, room - wider
    for column, most in (("operations", OPERATIONS_MOST), ("effect", width)):
        if column in found:
            wider = min(most - found[column], room)
            found[column] += wider
            room -= wider
    return Columns(number, name + room, statuses, **found)


def history_row(parent: ParentJob, name: str, has: Columns, *, now: int, is_below_batch: bool = False) -> Line:
    """Number, time, target, operations, status, duration and effect, as far as there are columns.

    `is_below_batch`: it stands below the row of its batch.
    """
    pin = PIN if parent.pinned and not has.effect else ""
    number = f"{' ' * len(FOLDED) * is_below_batch}#{parent.id}"
    spans: list[Span] = [(fit(number, has.number), Role.DIM), (fit(pin, GAP), Role.STRONG)]
    if has.when:
        spans += [(_when(parent.created_at, now, has.when), Role.DIM), _GAP]
    spans += named_column(name, has.name)
    if has.operations:
        spans += [_GAP, (fit(operations(parent, has.operations), has.operations), Role.DIM)]
    spans += [_GAP, status_span(parent, has.status)]
    if has.took:
        spans += [_GAP, (right(time_taken(parent, now), has.took), Role.DIM)]
    if has.effect:
        pinned = f"{PINNED}  " if parent.pinned else ""
        room = has.effect - len(pinned)
        spans += [_GAP, (pinned, Role.STRONG), (fit(_effect(parent, room), room), Role.TEXT)]
    return Line(tuple(spans), JobId(parent.id))


_GAP: Final[Span] = (" " * GAP, Role.TEXT)


def batch_history_row(batch: Batch, has: Columns, *, expanded: bool, now: int, width: int) -> Line:
    """`► b17  11-24 12:02  300 targets   298 completed, 1 failed, 1 unreachable`, in the columns of the history."""
    number = f"{UNFOLDED if expanded else FOLDED}{BatchId(batch.id)}"
    targets = targets_in(batch)
    spans: list[Span] = [(fit(number, has.number), Role.DIM), _GAP]
    if has.when:
        spans += [(_when(batch.created_at, now, has.when), Role.DIM), _GAP]
    spans += [(fit(targets, max(has.name, cell_len(targets))), Role.STRONG), _GAP]
    room = width - span_cells(spans)
    return Line(both_ends((*spans, *counts_in(batch, room)), (), width).spans, BatchId(batch.id))


def _effect(parent: ParentJob, width: int) -> str:
    """The effect or the error; for several operations also how many are done, if not all."""
    if len(parent.children) == 1:
        (child,) = parent.children
        return outcome(child, parent.target, width)
    is_whole = parent.status not in {Status.FAILED, Status.CANCELLED}
    done = "" if is_whole else f"{done_of(parent)} done  "
    return done + (first_error(parent) or job_effect(parent, width) or interruption(parent))


def _when_width(width: int) -> int:
    return 19 if width >= 130 else 16 if width >= 100 else 11


def _when(at: int, now: int, width: int) -> str:
    """`2026-11-24 12:02:03`; in a narrow column `11-24 12:02`, or `2025-11-24` for another year."""
    time = local_time(at)
    if width >= 16:
        return time[:width]
    return time[5:16] if time[:4] == local_time(now)[:4] else fit(time[:10], width)


def placeholder_row(job_id: int) -> Line:
    """The row of a job that has not been read yet."""
    return Line(((f"#{job_id} …", Role.DIM),), JobId(job_id))


def placeholder_batch_row(batch_id: int) -> Line:
    """The row of a batch that has not been read yet."""
    return Line(((f"{FOLDED}{BatchId(batch_id)} …", Role.DIM),), BatchId(batch_id))


def format_found(
    found: int, total: int | None, words: str, *, complete: bool, folds: bool = False, has_batches: bool = False
) -> str:
    """`1,204 of 1,000,000 jobs  status:failed`, `24 jobs and batches  since:7d`.

    Args:
        words: the current filter.
        folds: `found` counts a batch as one.
        has_batches: some of those are batches.
    """
    so_far = "" if complete else " so far"
    filtered = f"  {plain(words)}" if words else ""
    if folds and has_batches:
        if complete and total is not None and not words:
            return counted(total, "job")
        return f"{found:,} jobs and batches{so_far}{filtered}"
    of = f"{found:,} of {counted(total, 'job')}" if words and total is not None else counted(found, "job")
    return f"{of}{so_far}{filtered}"
