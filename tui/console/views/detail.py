"""The detail pane: the job under the cursor in a few lines, the most important first."""

from __future__ import annotations

from collections import Counter

from rich.cells import cell_len

from engine import ChildJob, JobId, ParentJob, Reason, Status, Step
from engine.domain.statuses import format_ending
from tui.console.views.line import Line, Role, Span, filled, fit, line, shortened_name, span_cells, wrapped
from tui.console.views.remarks import failure_lines, instructions, remarks
from tui.console.views.status import child_of, head_of, operations, short_times, status_beside, time_taken
from tui.presentation.effect_summary import effect, steps_taken
from tui.presentation.fact_format import changes, table, text
from tui.presentation.job_log import earlier_attempt, step_text
from tui.presentation.job_notes import advice_to_open
from tui.presentation.job_status import format_pace, measured_parts, warnings_text, work_parts
from tui.presentation.job_times import format_elapsed, limit_of
from tui.presentation.text import GLYPH, plain
from tui.presentation.window_words import step_error


def detail_lines(
    parent: ParentJob,
    job: JobId,
    name: str,
    *,
    now: int,
    width: int,
    height: int = 0,
    database_size: float | None = None,
) -> list[Line]:
    """The lines for a parent or one of its children; `parent` may have steps and logs or not.

    Args:
        height: the lines in view: what is left of them shows the last steps of what runs.
        database_size: bytes, as far as its target was inspected.
    """
    child = child_of(parent, job)
    lines = (
        _about_parent(parent, name, now, width, database_size)
        if child is None
        else _about_child(parent, child, now, width, database_size)
    )
    running = child or next((one for one in parent.children if one.status is Status.RUNNING), None)
    if running is not None and running.status is Status.RUNNING and len(lines) < height:
        lines += _last_steps(running, parent.target, now, width)[: height - len(lines)]
    return lines


def _about_child(parent: ParentJob, child: ChildJob, now: int, width: int, database_size: float | None) -> list[Line]:
    head: list[Span] = [(f"#{child.id} ", Role.DIM), (f"{child.operation.value}  ", Role.STRONG), status_beside(child)]
    room = width - span_cells(head)
    parts = _summary(child, now, room)
    beside = 1
    while beside < len(parts) and cell_len("  ".join(parts[: beside + 1])) <= room:
        beside += 1
    lines = [line(*head, fit("  ".join(parts[:beside]), room))]
    if child.status is Status.RUNNING:
        lines += _at_work(child, "", now, width, database_size)
    lines += remarks(parent, child, width)
    lines += filled(parts[beside:], width)
    if child.reason is Reason.OPERATION_ERROR:
        lines += wrapped(advice_to_open(parent, child, instructions()), width)
    if again := earlier_attempt(child, now):
        lines += wrapped(again, width, Role.DIM)
    step = current_step(child)
    if step is not None:
        lines += wrapped(plain(step.command), width, Role.SQL)
        if (error := step_error(step)) and error not in (child.error or ""):
            lines += wrapped(error, width, Role.FAILED)
        left = text(step.effect, "left")
        if left and left != child.error:
            lines += wrapped(left, width, Role.DIM)
    for warning in child.warnings:
        lines += wrapped(warning, width, Role.WARNING)
    if not child.status.is_final and parent.deadline_at is not None:
        lines += wrapped(limit_of(parent), width, Role.DIM)
    return [*lines, *before_and_after(child, width)]


def _summary(child: ChildJob, now: int, width: int) -> list[str]:
    """Duration, and progress or effect."""
    took = time_taken(child, now)
    parts = [effect(child, width - len(took) - 2) or steps_taken(child), warnings_text(child)]
    return [part for part in (took, *(parts if child.status.is_final else ())) if part]


def _at_work(child: ChildJob, name: str, now: int, width: int, database_size: float | None) -> list[Line]:
    """How far it is and how fast it gets on; what it does now. Each in one line, so that nothing below moves."""
    measured = [name, *measured_parts(child, now), format_pace(child, now, database_size)]
    texts = ["  ".join(filter(None, measured)), "  ".join(work_parts(child))]
    return [line(shortened_name(text, width)) for text in texts if text]


def _last_steps(child: ChildJob, target: str, now: int, width: int) -> list[Line]:
    """The steps that run beside the one that is shown, then those that ended, the last ones first."""
    current = current_step(child)
    steps = [step for step in child.steps if step.attempt == child.attempt and step is not current]
    begun = [step for step in steps if step.status is not Status.SKIPPED]
    begun.sort(key=lambda step: (step.status is not Status.RUNNING, -(step.finished_at or step.started_at)))
    return [_step_line(child, step, target, now, width) for step in begun]


def _step_line(child: ChildJob, step: Step, target: str, now: int, width: int) -> Line:
    text = step_text(child, step, target, now, (), with_command=False)
    runs = step.status is Status.RUNNING
    took = format_elapsed(step.started_at, None, now) if runs else text.took
    what = "  ".join(plain(" ".join(part.split())) for part in (text.what, text.error, text.effect) if part)
    head: list[Span] = [(f"{GLYPH[step.status]} ", Role(step.status.value)), (f"{took:>9}  ", Role.DIM)]
    return line(*head, (fit(what, width - span_cells(head)), Role.DIM))


def current_step(child: ChildJob) -> Step | None:
    """The running step, else of a child that has ended the last failed one, else the last one."""
    of_attempt = [step for step in child.steps if step.attempt == child.attempt] or list(child.steps)
    for wanted in (Status.RUNNING, Status.FAILED) if child.status.is_final else (Status.RUNNING,):
        found = [step for step in of_attempt if step.status is wanted]
        if found:
            return found[-1]
    begun = [step for step in of_attempt if step.status is not Status.SKIPPED] or of_attempt
    return begun[-1] if begun else None


def before_and_after(child: ChildJob, width: int) -> list[Line]:
    """The facts that the operation has changed, one per line, if the rounded figures differ."""
    return [part for row in table(changes(child.before, child.after)) for part in wrapped(row, width, Role.DIM)]


def _about_parent(parent: ParentJob, name: str, now: int, width: int, database_size: float | None) -> list[Line]:
    endings = Counter((child.status, format_ending(child.status, child.reason)) for child in parent.children)
    counts = ", ".join(
        f"{number:,} {words}" for status in Status for (found, words), number in endings.items() if found is status
    )
    lines = head_of(parent, name, now, width)
    for child in parent.children:
        if child.status is Status.RUNNING:
            lines += _at_work(child, child.operation.value, now, width, database_size)
            lines += remarks(parent, child, width)
            step = current_step(child)
            lines += [] if step is None else [line((fit(plain(step.command), width), Role.SQL))]
    lines += failure_lines(parent, width)
    lines += wrapped(f"{operations(parent, width - len(counts) - 2)}: {counts}", width)
    if not parent.status.is_final and parent.deadline_at is not None:
        lines += wrapped(limit_of(parent), width, Role.DIM)
    return lines + short_times(parent, now, width)
