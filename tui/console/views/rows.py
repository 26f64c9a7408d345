"""The rows of the job tree: a parent, its children, and a line for those that are folded away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from rich.cells import cell_len

from engine import ChildJob, JobId, ParentJob, Progress, Status, remaining
from engine.domain.batches import Batch
from engine.domain.frozen import frozen
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.jobs import is_cancelling
from engine.domain.steps import FINISHING, UNINTERRUPTIBLE_PHASES, WAITING, WaitsFor, object_name
from tui.console.views.line import Line, Role, Span, fit, marked, named, named_column, right, span_cells
from tui.console.views.status import PINNED, STATUS_WIDTH, bar, operations, status_span, status_width, time_taken
from tui.presentation.batch_summary import TROUBLE
from tui.presentation.effect_summary import done_of
from tui.presentation.job_status import format_status, is_waiting, outcome, warnings_text, whole_left, whole_percent
from tui.presentation.text import GLYPH, percent, plain, time_left

MANY = 8
"""With more children than this, only running and failed ones are shown at first."""
ELAPSED_WIDTH = 7
DONE_WIDTH = 4
NAME_LEAST = 12
"""Cells that a target name has at least, before operations done and duration get any."""
OPERATIONS_FROM = 30
"""Cells for name and operations from which both are shown; the name then gets half of them, at most."""
ASKED_LEAST = 10
"""Cells that operations need to say something."""
NUMBER_LEAST = 6
"""Cells of `► #1 `, at least."""
PERCENT_LEAST = 3
PERCENT_WIDTH = 5
NUMBER_WIDTH = 4
"""Cells of ` .2 `."""
WAITS_BESIDE = 55
"""From this width on a row shows both progress and what it waits for."""
PHRASE_LEAST = 8
"""Cells that the start of a phrase needs to be useful."""
AT_WIDTH = 14
"""Cells of `  writing back`."""
LEFT_WIDTH = 11
"""Cells of `23h59m left`."""
_SUMMED: Final = (
    *(JobOutcome.RUNNING, JobOutcome.INTERRUPTED, JobOutcome.PENDING, *TROUBLE),
    *(JobOutcome.CANCELLED, JobOutcome.SKIPPED, JobOutcome.PARTIAL, JobOutcome.COMPLETED),
)
"""The order in which a tree counts its jobs."""
NO_BATCHES: Final[Mapping[int, Batch]] = {}


@frozen
class FoldedKey:
    parent_id: int


@frozen
class TreeColumns:
    """Cells of the longest number, name of a target, and status in the tree: so all rows line up."""

    number: int = 0
    name: int = 0
    status: int = STATUS_WIDTH

    def with_job(self, parent: ParentJob, name: str) -> TreeColumns:
        """Wide enough for another job, too."""
        number, name_cells = len(f"► #{parent.id} "), span_cells(named(name))
        status = max(self.status, status_width(parent))
        return TreeColumns(max(self.number, number, NUMBER_LEAST), max(self.name, name_cells), status)


def tree_rows(
    parent: ParentJob,
    name: str,
    *,
    expanded: bool,
    show_all: bool,
    now: int,
    width: int,
    marks: Collection[Hashable] = (),
    columns: TreeColumns | None = None,
) -> list[Line]:
    """A parent's row and, when it is expanded, those of its children.

    Args:
        name: of the target.
        show_all: show every child, even if there are many.
        now: microseconds, for the duration of running jobs.
        marks: the jobs that are marked.
        columns: of the tree; None: this row is alone.
    """
    rows = [parent_row(parent, name, expanded=expanded, now=now, width=width, columns=columns)]
    if expanded:
        shown = parent.children if show_all else children_to_show(parent)
        names, statuses = names_width(parent, width), max(map(status_width, parent.children), default=STATUS_WIDTH)
        rows += [
            child_row(child, parent.target, now=now, width=width, names=names, statuses=statuses) for child in shown
        ]
        if len(shown) < len(parent.children):
            rows.append(_folded_row(parent, shown, width))
    return [_with_mark(row) if row.key in marks else row for row in rows]


def _with_mark(row: Line) -> Line:
    is_child = isinstance(row.key, JobId) and row.key.ordinal is not None
    return marked(row, NUMBER_WIDTH - 1 if is_child else 1)


def summary(parents: Iterable[ParentJob], width: int, batches: Mapping[int, Batch] = NO_BATCHES) -> str:
    """Jobs by outcome: `2 running, 1 failed, 12 completed`; what does not fit is left out, the failed ones last.

    `batches`: by id; all of their jobs count, also those that are not among `parents`.
    """
    seen = Counter(outcome_of(parent) for parent in parents if parent.batch not in batches)
    for batch in batches.values():
        seen.update(batch.counts)
    words = {JobOutcome.PENDING: "waiting"}
    counts = {outcome: f"{seen[outcome]:,} {words.get(outcome, outcome.value)}" for outcome in _SUMMED if seen[outcome]}
    while len(", ".join(counts.values())) > width and counts:
        del counts[next((outcome for outcome in reversed(counts) if outcome not in TROUBLE), next(reversed(counts)))]
    return ", ".join(counts.values())


def children_to_show(parent: ParentJob) -> tuple[ChildJob, ...]:
    """All children of a small parent; of a big one the running, then the failed ones."""
    if len(parent.children) <= MANY:
        return parent.children
    by_status = {Status.RUNNING: 0, Status.FAILED: 1}
    chosen = [child for child in parent.children if child.status in by_status]
    return tuple(sorted(chosen, key=lambda child: (by_status[child.status], child.ordinal)))


def parent_row(
    parent: ParentJob, name: str, *, expanded: bool, now: int, width: int, columns: TreeColumns | None = None
) -> Line:
    has = columns or TreeColumns().with_job(parent, name)
    marker = "▼" if expanded else "►"
    number = fit(f"{marker} #{parent.id}", has.number)
    is_wide = width >= 70
    whole_name = span_cells(named(name))
    done: Span = (right(done_of(parent), DONE_WIDTH) + " done" * is_wide, Role.TEXT)
    elapsed: Span = (" " + right(time_taken(parent, now), ELAPSED_WIDTH), Role.DIM)
    # In a narrow row the name comes first; a cut duration would be wrong, so it is whole or absent.
    tails = ((done, elapsed), (elapsed,), ())
    rooms = [width - len(number) - 1 - has.status - sum(len(text) for text, _ in tail) for tail in tails]
    room, tail = next(((r, t) for r, t in zip(rooms, tails, strict=True) if r >= NAME_LEAST), (rooms[-1], ()))
    if not tail and rooms[1] >= whole_name:
        room, tail = rooms[1], (elapsed,)
    failed = sum(child.status is Status.FAILED for child in parent.children)
    caveat = f"  {failed:,} failed" if failed and not parent.status.is_final and room >= 40 else ""
    pinned = f"  {PINNED}" if parent.pinned and room >= 40 else ""
    left, until_end = whole_left(parent, now), ""
    if room < OPERATIONS_FROM:
        spans: tuple[Span, ...] = named_column(name, room)
    else:
        name_width = min(max(has.name, NAME_LEAST), room // 2)
        room -= name_width + len(caveat) + len(pinned)
        if whole_percent(parent) and room >= ASKED_LEAST + LEFT_WIDTH + 2:
            until_end = f"{right(left, LEFT_WIDTH + 1)} "  # also while it is unknown, so that nothing moves
            room -= len(until_end)
        asked = operations(parent, room - 2) if room >= ASKED_LEAST else ""
        spans = (*named_column(name, name_width), (fit(f"  {asked}".rstrip(), room), Role.DIM))
    if left and not until_end and not failed and len(left) < (cells := span_cells(tail)):
        tail = ((right(left, cells), Role.DIM),)
    return Line(
        (
            (number, Role.DIM),
            *spans,
            (pinned, Role.STRONG),
            (caveat, Role.FAILED),
            (until_end, Role.DIM),
            (" ", Role.TEXT),
            status_span(parent, has.status),
            *tail,
        ),
        JobId(parent.id),
    )


def child_row(
    child: ChildJob, target: str, *, now: int, width: int, names: int = 9, statuses: int = STATUS_WIDTH
) -> Line:
    """`names`, `statuses`: cells of the columns of operations and statuses, the same for all rows of a parent."""
    name: Span = (right(f".{child.ordinal} ", NUMBER_WIDTH) + fit(child.operation.value, names - 1) + " ", Role.TEXT)
    beside = width - NUMBER_WIDTH - names
    room = beside - statuses - 2 - ELAPSED_WIDTH
    if room < PERCENT_WIDTH:
        return Line((name, *_narrow_row(child, now, beside)), child.id)
    elapsed = right(time_taken(child, now), ELAPSED_WIDTH)
    status = status_span(child, statuses + 1)
    return Line((name, status, *_middle(child, target, now, room), (" " + elapsed, Role.DIM)), child.id)


def _narrow_row(child: ChildJob, now: int, room: int) -> tuple[Span, ...]:
    """`✓ completed  0.41 s`, or `►  53%  0:36 left`: for narrow rows."""
    status, role = status_span(child, status_width(child))
    main, end = status.rstrip(), time_taken(child, now)
    more = _mark(child)
    if is_waiting(child) and not is_cancelling(child):
        main, role = f"{GLYPH[child.status]} waits", Role.WARNING
    elif child.status is Status.RUNNING and not is_cancelling(child) and not child.recovering:
        if child.progress.fraction is None:
            more = more or f" {_steps(child.progress)}".rstrip()
        else:
            main = f"{GLYPH[child.status]} {percent(child.progress.fraction):>4}"
            left = time_left(remaining(child, now))
            end = left if left and cell_len(f"{main} {left}") <= room else end
    if cell_len(f"{main} {end}") > room:
        return ((fit(main, room), role),)
    if cell_len(f"{main}{more} {end}") > room:
        more = ""
    rest = room - cell_len(main + more)
    return ((main, role), (more, Role.WARNING if child.warnings else Role.TEXT), (right(end, rest), Role.DIM))


def names_width(parent: ParentJob, width: int) -> int:
    """Cells of the operation column: the longest name, less in narrow rows."""
    longest = max((len(child.operation) for child in parent.children), default=0) + 1
    return max(min(longest, 19 if width >= 70 else 13 if width >= 40 else 12), 9)


def _middle(child: ChildJob, target: str, now: int, room: int) -> tuple[Span, ...]:
    """Progress or effect of a child, in exactly `room` cells."""
    if room <= 0:
        return ()
    caveat = warnings_text(child)
    if caveat and room >= len(caveat) + 12:
        return (*_doing(child, target, now, room - len(caveat) - 2), ("  " + caveat, Role.WARNING))
    if mark := _mark(child):
        return (*_doing(child, target, now, room - len(mark)), (mark, Role.WARNING))
    return _doing(child, target, now, room)


def _mark(child: ChildJob) -> str:
    """The number of warnings, if the word does not fit."""
    return f" !{len(child.warnings)}" if child.warnings else ""


def _phrase(text: str, room: int) -> str:
    """A phrase, or blanks if only a few letters would fit."""
    return fit(text if cell_len(text) <= room or room >= PHRASE_LEAST else "", room)


def _doing(child: ChildJob, target: str, now: int, room: int) -> tuple[Span, ...]:
    if child.status is not Status.RUNNING:
        role = Role.FAILED if child.status is Status.FAILED else Role.TEXT
        return ((_phrase(outcome(child, target, room), room), role),)
    progress = child.progress
    if is_cancelling(child) and progress.phase in UNINTERRUPTIBLE_PHASES:
        return _finishing(child, now, room)
    if child.recovering:
        return ((_phrase("crash recovery" if room >= 14 else "recovering", room), Role.CANCELLED),)
    if is_cancelling(child):
        return _stopping(child, room)
    if is_waiting(child) and room < WAITS_BESIDE:
        return ((_phrase(_waits_for(progress, room), room), Role.WARNING),)
    again = f"  attempt {child.attempt}" if child.attempt > 1 else ""
    if again and room - len(again) >= _least_width(progress):
        return (*_progress(child, now, room - len(again)), (again, Role.DIM))
    return _progress(child, now, room)


def _waits_for(progress: Progress, room: int) -> str:
    """What holds the lock; in a narrow row only that it waits."""
    if progress.waits_for is not WaitsFor.LOCK or room >= len(WAITING):
        return progress.phase or ""
    return "waits for lock" if room >= len("waits for lock") else "waits"


def _finishing(child: ChildJob, now: int, room: int) -> tuple[Span, ...]:
    """Says that the child cannot be interrupted, beside its progress; in a narrow row by a word."""
    without_phase = replace(child, progress=replace(child.progress, phase=None, object=None), cancel_requested_at=None)
    least = _least_width(child.progress)
    for note in (f"({FINISHING})  ", "(finishing)  "):
        if len(note) + least <= room:
            return ((note, Role.CANCELLED), *_progress(without_phase, now, room - len(note)))
    if child.progress.fraction is not None and least <= room:
        return _progress(without_phase, now, room)
    return ((_phrase("(finishing)" if room >= len("(finishing)") else "finishing", room), Role.CANCELLED),)


def _stopping(child: ChildJob, room: int) -> tuple[Span, ...]:
    """Says that a cancel was requested, beside the progress."""
    note = "asked to stop"
    if room >= 30:
        rest = room - len(note) - 2
        return ((f"{note}  ", Role.CANCELLED), *_measured(child, rest))
    share = f" {percent(child.progress.fraction)}" if child.progress.fraction is not None else ""
    if len(note) + len(share) > room:
        note = "stopping"
    if len(note) + len(share) > room:
        share = ""
    return ((_phrase(note, room - len(share)), Role.CANCELLED), (share, Role.DIM))


def _least_width(progress: Progress) -> int:
    """Cells of a percentage with the time left, or of a count of steps."""
    return PERCENT_LEAST + LEFT_WIDTH if progress.fraction is not None else len(_steps(progress))


def _progress(child: ChildJob, now: int, room: int) -> tuple[Span, ...]:
    """Progress and time left; with a percentage the time left always has its place."""
    progress = child.progress
    if progress.fraction is None and not progress.steps_total:
        return ((_at(progress, room), Role.TEXT),)
    if progress.fraction is None or room < PERCENT_LEAST + LEFT_WIDTH:
        return _measured(child, room)
    words = time_left(remaining(child, now))
    if room <= PERCENT_LEAST + cell_len(words):
        return _measured(child, room)
    left = (right(words, LEFT_WIDTH), Role.DIM)
    return (*_measured(child, room - LEFT_WIDTH), left)


def _measured(child: ChildJob, room: int) -> tuple[Span, ...]:
    """Bar and percent if the fraction is known, else `3/9`; then phase and object, if they fit."""
    progress = child.progress
    if progress.fraction is None:
        steps = _steps(progress)
        used = min(room, len(steps))
        spans: tuple[Span, ...] = ((fit(steps, used), Role.TEXT),)
    else:
        length = _bar_length(room - PERCENT_WIDTH)
        used = length + PERCENT_WIDTH if length else min(room, PERCENT_WIDTH)
        spans = (*bar(progress.fraction, length), (right(percent(progress.fraction), used - length), Role.DIM))
    rest = room - used
    doing = f"  {_at(progress, rest - 2)}" if rest > 4 else " " * rest
    return (*spans, (doing, Role.DIM))


def _bar_length(room: int) -> int:
    """The phase comes before a long bar; if the phase does not fit, the bar gets its room."""
    if room < 4:
        return 0
    longest = 20 if room >= 55 else 12
    return min(max(room - AT_WIDTH, 3), longest) if room >= AT_WIDTH else min(room, longest)


def _at(progress: Progress, room: int) -> str:
    """Phase and object; only the phase if both do not fit."""
    name = plain(object_name(progress.object))
    both = "  ".join(filter(None, (progress.phase, name)))
    return fit(both if cell_len(both) <= room else progress.phase or name, room)


def _steps(progress: Progress) -> str:
    return f"{progress.steps_done:,}/{progress.steps_total:,}" if progress.steps_total else ""


def _folded_row(parent: ParentJob, shown: tuple[ChildJob, ...], width: int) -> Line:
    seen = {child.ordinal for child in shown}
    hidden = [format_status(child) for child in parent.children if child.ordinal not in seen]
    by_status = sorted(Counter(hidden).items(), key=lambda kind: list(Status).index(kind[0][0]))
    parts = [f"{number:,} {words}" for (_, words), number in by_status]
    text = f"      {len(hidden):,} more: {', '.join(parts)}"
    return Line(((fit(text, width), Role.DIM),), FoldedKey(parent.id))
