"""The picture of a job: a bar for each child over the time of the job, and the steps of one child below its bar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import ChildJob, ParentJob, Status, Step
from engine.domain.steps import Micros, object_name
from tui.presentation.effect_summary import status_shown, step_effect
from tui.presentation.job_status import outcome, progress_parts
from tui.presentation.job_times import format_elapsed
from tui.presentation.picture_rows import Draft, PictureRow, laid_out
from tui.presentation.text import GLYPH, counted, plain, precise_duration, shortened
from tui.presentation.timeline import (
    MEANING,
    SECOND,
    Axis,
    Mark,
    child_intervals,
    job_axis,
    last_steps,
    step_end,
    step_intervals,
    steps_axis,
    steps_to_show,
)
from tui.presentation.window_words import step_error


def job_picture(
    parent: ParentJob, now: Micros, width: int, *, selected: int | None = None, steps_most: int = 10
) -> list[PictureRow]:
    """The rows of the picture, none wider than `width` cells.

    Args:
        selected: the ordinal of the child whose steps are shown.
        steps_most: the number of its steps that are shown, at most.
    """
    axis = job_axis(parent, now)
    names = max((len(child.operation) for child in parent.children), default=0)
    drafts = [Draft("", axis, text=None)] if axis.end > axis.begin else []
    for child in parent.children:
        drafts.append(_of_child(parent, child, axis, names, now))
        if child.ordinal == selected:
            drafts += _of_steps(child, axis, now, steps_most)
    rows = laid_out(drafts, width)
    legend = _legend(parent, rows, axis)
    return [*rows, PictureRow("", text=shortened(legend, width))] if legend else rows


def _of_child(parent: ParentJob, child: ChildJob, axis: Axis, names: int, now: Micros) -> Draft:
    status = status_shown(child)
    return Draft(
        f"{GLYPH[status]} .{child.ordinal} {child.operation:{names}}",
        axis,
        intervals=tuple(child_intervals(parent, child, now)),
        took=format_elapsed(child.started_at, child.finished_at, now),
        note=lambda width: _note(parent, child, now, width),
        status=status,
        child=child.ordinal,
    )


def _note(parent: ParentJob, child: ChildJob, now: Micros, width: int) -> str:
    if child.status is Status.RUNNING:
        return "  ".join(progress_parts(child, now))
    return outcome(child, parent.target, width)


def _of_steps(child: ChildJob, axis: Axis, now: Micros, most: int) -> Iterator[Draft]:
    """The most important steps, on an axis of their own if there are several, and a count of the others."""
    steps = last_steps(child)
    shown = steps_to_show(steps, most, now)
    own = steps_axis(axis, child, steps, now) if len(steps) > 1 else axis
    if len(steps) > 1:
        yield Draft(f"     {counted(len(steps), 'step')}", own, text=None)
    for step in shown:
        yield Draft(
            f"     {GLYPH[step.status]} {_step_name(child, step)}",
            own,
            intervals=tuple(step_intervals(step, now)),
            took="" if step.status is Status.SKIPPED else format_elapsed(step.started_at, step.finished_at, now),
            note=lambda width, step=step: plain(step_error(step) or step_effect(step.effect)),  # type: ignore[misc]
            status=step.status,
        )
    if hidden := len(steps) - len(shown):
        total = _total(steps, now) - _total(shown, now)
        yield Draft("", own, text=f"{counted(hidden, 'shorter step')}, {precise_duration(total)}")


def _step_name(child: ChildJob, step: Step) -> str:
    """The object; with the kind of work if the operation does several; without an object the command."""
    name = object_name(step.object)
    if not name:
        return plain(step.command)
    kind = step.operation
    return plain(name if kind in {None, child.operation} else f"{kind} {name}")


def _total(steps: Sequence[Step], now: Micros) -> float:
    return sum(step_end(step, now) - step.started_at for step in steps) / SECOND


def _legend(parent: ParentJob, rows: Sequence[PictureRow], axis: Axis) -> str:
    """What the glyphs mean, and a queue time that is not drawn; "" if everything only ran."""
    drawn = {mark for row in rows for mark, _ in row.runs}
    before = axis.begin - parent.created_at
    undrawn = f"queued {format_elapsed(0, before, before)} before" if drawn and before >= SECOND else ""
    if not undrawn and drawn <= {Mark.RAN, Mark.NOTHING}:
        return ""
    return "  ".join([*(f"{mark} {meaning}" for mark, meaning in MEANING.items() if mark in drawn), undrawn]).rstrip()
