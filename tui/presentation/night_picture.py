"""The picture of a night: a bar for each target over its window, as planned or as it went. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import Final, TypeVar

from engine import ParentJob, Reason, Status
from engine.domain.humanize import about
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.statuses import LEFT_BY_WINDOW
from engine.domain.steps import Micros
from engine.schedules.night import PlannedNight, TargetNight
from tui.presentation.batch_summary import TROUBLE
from tui.presentation.effect_summary import first_error, job_effect, status_shown, without_target
from tui.presentation.job_times import format_elapsed
from tui.presentation.picture_rows import NOTES_FROM, Draft, PictureRow, laid_out
from tui.presentation.text import GLYPH, counted, plain, shortened
from tui.presentation.timeline import MEANING, SECOND, Axis, Interval, Mark, child_intervals, clock_labels, round_time

NameOf = Callable[[str], str]
"""The name of a target by its canonical URL."""
T = TypeVar("T")
_AS_PLANNED: Final = frozenset({JobOutcome.COMPLETED, JobOutcome.PENDING})
"""The outcomes that need no attention."""
_CLOSED: Final = "not begun: the window closed first"
_NOT_BEGUN: Final = "not begun: by estimate it ends after the window"
_FEW: Final = 3
"""More targets than this on which nothing began are counted, not drawn."""
_OF_WINDOW: Final = 8
"""Where the work takes less than this share of the window, the axis is that of the work."""


def planned_picture(
    night: PlannedNight, zone: tzinfo, width: int, *, named: NameOf, most: int | None = None
) -> list[PictureRow]:
    """A night as planned, with what cannot be planned first.

    `most`: targets that are shown; more whose operations all run are counted.
    """
    axis = _axis(night.opens_at, night.ends_at, night.closes_at)
    targets, left = _counted_apart(night.targets, lambda one: _NOT_BEGUN if one.not_begun and not one.runs else "")
    ordered = sorted(targets, key=lambda one: not one.target.problem)
    shown = _folded(ordered, most, lambda one: bool(one.runs) and not _is_cut(one))
    drafts = [_of_plan(one, axis, named) for one in shown]
    return _rows(drafts, axis, zone, width, hidden=len(targets) - len(drafts), left=left)


def real_picture(
    jobs: Sequence[ParentJob],
    opens_at: Micros,
    closes_at: Micros | None,
    now: Micros,
    zone: tzinfo,
    width: int,
    *,
    named: NameOf,
    most: int | None = None,
) -> list[PictureRow]:
    """A night as it went so far, with what failed first.

    `most`: targets that are shown; more that completed or wait are counted.
    """
    is_open = any(not job.status.is_final for job in jobs)
    begun, left = _counted_apart(jobs, _why_not_begun)
    ends = [job.finished_at for job in jobs if job.finished_at is not None]
    axis = _axis(opens_at, max([opens_at, *ends, *([now] if is_open else [])]), closes_at)
    shown = _folded(sorted(begun, key=_place), most, lambda job: outcome_of(job) in _AS_PLANNED)
    drafts = [_of_job(job, axis, now, named, has_notes=width >= NOTES_FROM) for job in shown]
    return _rows(drafts, axis, zone, width, hidden=len(begun) - len(drafts), left=left)


def _counted_apart(targets: Sequence[T], why: Callable[[T], str]) -> tuple[Sequence[T], Counter[str]]:
    """The targets that are drawn. If nothing began on many others, how many those are, by reason."""
    left = Counter(reason for target in targets if (reason := why(target)))
    many = Counter({reason: number for reason, number in left.items() if number > _FEW})
    return [target for target in targets if why(target) not in many], many


def _why_not_begun(job: ParentJob) -> str:
    """Why its window left all of it out; "" if it did not."""
    reasons = {child.reason for child in job.children}
    if outcome_of(job) is not JobOutcome.SKIPPED or not reasons <= LEFT_BY_WINDOW:
        return ""
    return _CLOSED if Reason.TIME_LIMIT in reasons else _NOT_BEGUN


def _folded(targets: Sequence[T], most: int | None, is_as_planned: Callable[[T], bool]) -> Sequence[T]:
    """The rows without the last of those that go as planned, so that `most` are left; all others stay."""
    plain_ones = [number for number, one in enumerate(targets) if is_as_planned(one)]
    room = len(targets) if most is None else max(most - len(targets) + len(plain_ones), 0)
    hidden = set(plain_ones[room:])
    if len(hidden) == 1:  # a line that counts one is no shorter
        return targets
    return [one for number, one in enumerate(targets) if number not in hidden]


def _place(job: ParentJob) -> tuple[bool, bool, Micros, int]:
    return outcome_of(job) not in TROUBLE, job.started_at is None, job.started_at or 0, job.id


def _axis(opens_at: Micros, ends_at: Micros, closes_at: Micros | None) -> Axis:
    end = opens_at + max(round_time(ends_at - opens_at), SECOND)
    if closes_at is not None and (end - opens_at) * _OF_WINDOW > closes_at - opens_at:
        end = max(closes_at, ends_at)
    return Axis(opens_at, end, opens_at)


def _of_plan(one: TargetNight, axis: Axis, named: NameOf) -> Draft:
    begin = one.runs[0].begins_at if one.runs else axis.begin
    seconds = sum(run.ends_at - run.begins_at for run in one.runs) / SECOND
    status = Status.FAILED if one.target.problem else Status.SKIPPED if _is_cut(one) else Status.PENDING
    return Draft(
        f"{GLYPH[status]} {named(one.target.target)}",
        axis,
        intervals=(
            Interval(axis.begin, begin, Mark.QUEUED),
            *(
                Interval(run.begins_at, run.ends_at, Mark.PLANNED if run.is_known else Mark.UNKNOWN, is_visible=True)
                for run in one.runs
            ),
        )
        if one.runs
        else (),
        took=about(seconds).removeprefix("about ") if one.runs and all(run.is_known for run in one.runs) else "",
        note=lambda width: shortened(_plan_note(one), width),
        status=status,
    )


def _is_cut(one: TargetNight) -> bool:
    """Whether the window leaves something out of it."""
    return bool(one.not_begun) or any(run.left_steps for run in one.runs)


def _plan_note(one: TargetNight) -> str:
    if one.target.problem:
        return plain(without_target(one.target.problem, one.target.target))
    if one.target.elsewhere is not None:
        return f"planned on {plain(one.target.elsewhere)} when it is due"
    parts = [", ".join(run.operation for run in one.runs)]
    parts += [f"{counted(run.left_steps, 'step')} of {run.operation} not begun" for run in one.runs if run.left_steps]
    if one.not_begun:
        parts.append(f"not begun, as it would end after the window: {', '.join(o.operation for o in one.not_begun)}")
    if any(parts):
        parts += [f"not {left.operation}" for left in one.left_out]
    else:
        parts = [plain(without_target(left.idle, one.target.target)) for left in one.left_out[:1]]
    return "; ".join(filter(None, parts))


def _of_job(job: ParentJob, axis: Axis, now: Micros, named: NameOf, *, has_notes: bool) -> Draft:
    """`has_notes`: whether there is room for an error beside the bar; otherwise it takes the place of the bar."""
    status = status_shown(job)
    has_bar = has_notes or outcome_of(job) not in TROUBLE
    return Draft(
        f"{GLYPH[status]} {named(job.target)}",
        axis,
        intervals=tuple(_intervals(job, axis, now)) if has_bar else (),
        took=format_elapsed(job.started_at, job.finished_at, now),
        note=lambda width: shortened(_note(job, width), width),
        status=status,
    )


def _note(job: ParentJob, width: int) -> str:
    what = first_error(job) or _left_operations(job) or job_effect(job, width)
    return what or _why_not_begun(job) or _operations(job)


def _left_operations(job: ParentJob) -> str:
    """`reindex not begun: ...`: the operations of a partial job that its window left out as a whole."""
    if outcome_of(job) is not JobOutcome.PARTIAL:
        return ""
    left = [child for child in job.children if child.status is Status.SKIPPED and child.reason in LEFT_BY_WINDOW]
    why = _CLOSED if any(child.reason is Reason.TIME_LIMIT for child in left) else _NOT_BEGUN
    return f"{', '.join(child.operation for child in left)} {why}" if left else ""


def _operations(job: ParentJob) -> str:
    return ", ".join(child.operation for child in job.children)


def _intervals(job: ParentJob, axis: Axis, now: Micros) -> Iterator[Interval]:
    """Its wait for the first operation, then what ran; a wait between two of its own operations is not drawn."""
    if job.started_at is None:
        if not job.status.is_final:
            yield Interval(axis.begin, now, Mark.QUEUED)
        return
    yield Interval(axis.begin, job.started_at, Mark.QUEUED)
    for child in job.children:
        for interval in child_intervals(job, child, now):
            if interval.mark is not Mark.QUEUED:
                yield interval


def _rows(
    drafts: Sequence[Draft], axis: Axis, zone: tzinfo, width: int, *, hidden: int, left: Mapping[str, int]
) -> list[PictureRow]:
    scale = Draft("", axis, text=None, scale=partial(clock_labels, zone=zone))
    rows = laid_out([scale, *drafts], width) if drafts else []
    for why, number in left.items():
        text = shortened(f"{GLYPH[Status.SKIPPED]} {counted(number, 'target')} {why}", width)
        rows.append(PictureRow("", text=text, status=Status.SKIPPED))
    if hidden:
        rows.append(PictureRow("", text=f"and {counted(hidden, 'target')} more"))
    drawn = {mark for row in rows for mark, _ in row.runs} - {Mark.RAN, Mark.NOTHING}
    if drawn:
        legend = "  ".join(f"{mark} {meaning}" for mark, meaning in MEANING.items() if mark in drawn)
        rows.append(PictureRow("", text=shortened(legend, width)))
    return rows
