"""A job over time: what each child and step did in each cell of a bar. Pure functions, for both front ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import groupby
from typing import Final

from engine import Attempt, ChildJob, ParentJob, Status, Step
from engine.domain.frozen import frozen
from engine.domain.steps import Micros
from tui.presentation.fact_format import number
from tui.presentation.text import duration

SECOND: Final = 1_000_000
_MINUTE: Final = 60 * SECOND
_DAY: Final = 86_400 * SECOND
TICK_LEAST: Final = 12
"""Cells from one label of an axis to the next, at least."""


class Mark(StrEnum):
    """What a cell of a bar shows; the value is its glyph. A bar can be read without colours."""

    NOTHING = " "
    QUEUED = "·"
    WAITED = "░"
    REPEATED = "×"
    RAN = "▆"
    PLANNED = "▄"
    UNKNOWN = "?"


MEANING: Final = {
    Mark.RAN: "ran",
    Mark.QUEUED: "queued",
    Mark.WAITED: "waited for others",
    Mark.REPEATED: "attempt that was repeated",
    Mark.PLANNED: "by estimate",
    Mark.UNKNOWN: "of unknown length",
}


@frozen
class Interval:
    begin: Micros
    end: Micros
    mark: Mark
    is_visible: bool = False
    """Whether it takes at least one cell."""


@frozen
class Axis:
    """The time that a bar covers. `origin`: the time of the label 0."""

    begin: Micros
    end: Micros
    origin: Micros

    def cell(self, at: Micros, width: int) -> int:
        """The edge between cells, from 0 to `width`, that is nearest to a time."""
        length = max(self.end - self.begin, 1)
        return max(0, min(round((at - self.begin) * width / length), width))


Runs = tuple[tuple[Mark, int], ...]
"""The marks of a bar from its left, each with its number of cells."""


def bar(intervals: Iterable[Interval], axis: Axis, width: int) -> Runs:
    """The bar of `width` cells; where intervals meet in one cell, the last one shows."""
    cells = [Mark.NOTHING] * width
    for interval in intervals:
        begin, end = axis.cell(interval.begin, width), axis.cell(interval.end, width)
        if interval.is_visible and width:
            begin = min(begin, width - 1)
            end = max(end, begin + 1)
        cells[begin:end] = [interval.mark] * (end - begin)
    return tuple((mark, len(list(same))) for mark, same in groupby(cells))


def plain_bar(runs: Runs) -> str:
    return "".join(mark.value * count for mark, count in runs)


def child_intervals(parent: ParentJob, child: ChildJob, now: Micros) -> Iterator[Interval]:
    """When a child was queued, ran, waited, and which attempts were repeated, in the order in which they are drawn."""
    queued_since = parent.created_at
    attempts = _attempts(child)
    for attempt in attempts:
        is_repeated = attempt is not attempts[-1] or child.status is Status.PENDING
        end = _end(attempt.started_at, attempt.finished_at, now)
        yield Interval(queued_since, attempt.started_at, Mark.QUEUED)
        yield Interval(attempt.started_at, end, Mark.REPEATED if is_repeated else Mark.RAN, is_visible=True)
        queued_since = end
    if child.status is Status.PENDING:
        yield Interval(queued_since, now, Mark.QUEUED)
    elif attempts:
        steps = [step for step in child.steps if step.attempt == attempts[-1].number]
        if not steps:
            yield _wait_without_steps(child, attempts[-1], now)
        yield from (wait for step in steps for wait in _waits(step, now))
        for step in steps:
            yield from _work(step, now)


def _wait_without_steps(child: ChildJob, attempt: Attempt, now: Micros) -> Interval:
    """What it waited before its first step, which never came or was not read."""
    begin, end = attempt.started_at, _end(attempt.started_at, attempt.finished_at, now)
    if child.progress.waits_for is None:
        end = min(begin + round((number(child.after or {}, "waited") or 0) * SECOND), end)
    return Interval(begin, end, Mark.WAITED)


def _attempts(child: ChildJob) -> Sequence[Attempt]:
    """Its attempts; of a child that was read without them the last one."""
    if child.attempts or child.started_at is None:
        return child.attempts
    return (
        Attempt(
            number=child.attempt, pid=None, host=None, status=child.status,
            started_at=child.started_at, finished_at=child.finished_at,
        ),
    )  # fmt: skip


def step_intervals(step: Step, now: Micros) -> Iterator[Interval]:
    """When a step waited and ran."""
    if _has_begun(step):
        yield Interval(step.started_at, step_end(step, now), Mark.RAN, is_visible=True)
        yield from _waits(step, now)


def _has_begun(step: Step) -> bool:
    return step.status is not Status.SKIPPED or bool(step.waits)  # a step that gave way is skipped


def _work(step: Step, now: Micros) -> Iterator[Interval]:
    """When a step ran and did not wait."""
    if _has_begun(step):
        begin = step.started_at
        for wait in _waits(step, now):
            yield Interval(begin, max(begin, wait.begin), Mark.RAN)
            begin = max(begin, wait.end)
        yield Interval(begin, max(begin, step_end(step, now)), Mark.RAN)


def _waits(step: Step, now: Micros) -> list[Interval]:
    """In their order. Of a step of an earlier version only their length is known: they are drawn at its beginning."""
    end = step_end(step, now)
    found = [(begin, end if until is None else until) for begin, until in step.waits]
    if not found and (waited := number(step.effect, "waited")):
        found = [(step.started_at, min(step.started_at + round(waited * SECOND), end))]
    return [Interval(begin, max(begin, until), Mark.WAITED) for begin, until in found]


def last_steps(child: ChildJob) -> list[Step]:
    """The steps of its last attempt that has some."""
    last = max((step.attempt for step in child.steps), default=0)
    return [step for step in child.steps if step.attempt == last]


def step_end(step: Step, now: Micros) -> Micros:
    """The end of a step; of a running one the time now."""
    return _end(step.started_at, step.finished_at, now)


def _end(begin: Micros, finished_at: Micros | None, now: Micros) -> Micros:
    """The end, or the time now; the clock may have been set back."""
    return max(now if finished_at is None else finished_at, begin)


def job_axis(parent: ParentJob, now: Micros) -> Axis:
    """The time of a job. A queue time longer than everything after it is left out.

    While the job is open, the axis is longer than needed, so that bars grow and its scale seldom changes.
    """
    attempts = [attempt for child in parent.children for attempt in _attempts(child)]
    ends = [_end(attempt.started_at, attempt.finished_at, now) for attempt in attempts]
    begin = min((attempt.started_at for attempt in attempts), default=parent.created_at)
    end = max(ends, default=begin)
    if not parent.status.is_final:
        end = max(end, now)
    if begin - parent.created_at <= end - begin:
        begin = min(begin, parent.created_at)
    return Axis(begin, end if parent.status.is_final else begin + round_time(end - begin), begin)


def steps_axis(axis: Axis, child: ChildJob, steps: Sequence[Step], now: Micros) -> Axis:
    """The time of these steps, with the labels of the job's axis."""
    begin = min(step.started_at for step in steps)
    end = max(step_end(step, now) for step in steps)
    if not child.status.is_final:
        end = begin + round_time(end - begin)
    return Axis(begin, end, axis.origin)


def steps_to_show(steps: Sequence[Step], most: int, now: Micros) -> list[Step]:
    """At most so many steps, in their order: those that run, then failed ones, then the longest."""
    weight = {Status.RUNNING: 0, Status.FAILED: 1, Status.SKIPPED: 3}

    def importance(step: Step) -> tuple[int, Micros]:
        return weight.get(step.status, 2), step.started_at - step_end(step, now)

    shown = sorted(steps, key=importance)[:most]
    return sorted(shown, key=lambda step: (step.started_at, step.number))


_ROUND_TIMES: Final = (
    *(factor * unit for unit in (1, 10, 100, 1_000, 10_000, 100_000, SECOND) for factor in (1, 2, 5)),
    *(seconds * SECOND for seconds in (10, 20, 30)),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)),
)
"""Microseconds that are easy to read, up to half a day."""


def round_time(span: Micros) -> Micros:
    """The shortest time that is easy to read and not shorter than `span`."""
    found = next((known for known in _ROUND_TIMES if known >= span), None)
    if found is not None:
        return found
    days = -(-span // _DAY)
    power = int("1".ljust(len(str(days)), "0"))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= days) * _DAY


def axis_labels(axis: Axis, width: int) -> str:
    """The times from the origin below which the cells of a bar stand: `0 s   10 s   20 s`; "" for no time."""
    length = axis.end - axis.begin
    if length <= 0 or width < TICK_LEAST:
        return ""
    step = round_time(length * TICK_LEAST // width)
    first = -(-(axis.begin - axis.origin) // step) * step
    times = range(axis.origin + first, axis.end + 1, step)
    return _labels(axis, width, {at: time_label(at - axis.origin, axis.end - axis.origin) for at in times})


def _labels(axis: Axis, width: int, labels: Mapping[Micros, str]) -> str:
    """The labels that fit, each below its cell."""
    text = ""
    for at, label in labels.items():
        cell = axis.cell(at, width)
        if len(text) + bool(text) <= cell and cell + len(label) <= width:
            text = text.ljust(cell) + label
    return text


def clock_labels(axis: Axis, width: int, zone: tzinfo) -> str:
    """The times of day below which the cells of a bar stand: `22:00    23:00`; with seconds on a short axis."""
    length = axis.end - axis.begin
    if length <= 0 or width < TICK_LEAST:
        return ""
    step = max(round_time(length * TICK_LEAST // width), SECOND)
    ahead = datetime.fromtimestamp(axis.begin / SECOND, zone).utcoffset() or timedelta()
    offset = round(ahead.total_seconds()) * SECOND
    first = -(-(axis.begin + offset) // step) * step - offset
    moments = {at: datetime.fromtimestamp(at / SECOND, zone) for at in range(first, axis.end + 1, step)}
    form = "%H:%M:%S" if step < _MINUTE else "%H:%M"
    return _labels(axis, width, {at: f"{moment:{form}}" for at, moment in moments.items()})


def time_label(at: Micros, last: Micros) -> str:
    """`250 ms`, `1.5 s` or `3:20`, by the last label of the axis."""
    if last < SECOND:
        return f"{at / 1000:g} ms"
    return f"{at / SECOND:g} s" if last < _MINUTE else duration(at / SECOND)
