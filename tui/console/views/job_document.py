"""The page of a job: its operations with their attempts, steps and logs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

from engine import ChildJob, ParentJob, Reason, Status, Trend
from engine.domain.steps import LogLevel
from tui.console.keymap import key_of
from tui.console.views.detail import before_and_after
from tui.console.views.job_picture import picture_lines
from tui.console.views.line import Line, Role, Span, line, span_cells, wrapped
from tui.console.views.page_map import maps_of_job
from tui.console.views.remarks import instructions, remarks, shared_lines
from tui.console.views.status import head_of, status_beside, time_taken, times
from tui.presentation.effect_summary import effect, findings, only_found, steps_taken
from tui.presentation.fact_format import waited
from tui.presentation.job_log import (
    StepText,
    attempt_numbers,
    attempt_text,
    findings_not_kept,
    hidden_text,
    log_entries,
    settings_lines,
    shown_steps,
    step_text,
)
from tui.presentation.job_status import progress_parts, warnings_text
from tui.presentation.job_times import moment
from tui.presentation.shared_notes import shared_notes, told_once
from tui.presentation.text import GLYPH, cells, counted, local_time
from tui.presentation.trend_plot import PlotCell, plots, side_by_side, too_few

_TREND_INDENT: Final = 2


def job_document(
    parent: ParentJob,
    name: str,
    *,
    now: int,
    width: int,
    height: int = 24,
    selected: int | None = None,
    trends: Sequence[Trend] = (),
    unfolded: bool = False,
) -> list[Line]:
    """A picture of a job over time; its children, their attempts, steps and logs; how its operations went over time.

    Args:
        height: lines in view, for the number of steps in the picture.
        selected: the ordinal of the child whose steps the picture shows.
        unfolded: show every step with its command, and log lines that only name settings.
    """
    lines = [
        *head_of(parent, name, now, width),
        *picture_lines(parent, now, width, height, selected),
        *wrapped(parent.target, width, Role.DIM),
        *times(parent, width),
    ]
    shared = shared_notes(parent, lambda _: instructions())
    lines += shared_lines(shared, width)
    told = told_once(shared)
    for child in parent.children:
        lines += [line(), *_child(parent, child, now, width, told, unfolded=unfolded)]
    if not unfolded and (hidden := settings_lines(parent)):
        lines += [
            line(),
            *wrapped(f"{counted(hidden, 'log line')} on settings: {key_of('unfold-log')}", width, Role.DIM),
        ]
    return [*lines, line(), *trend_lines(trends, parent.id, width)] if trends else lines


def _child(
    parent: ParentJob, child: ChildJob, now: int, width: int, told: Collection[str], *, unfolded: bool
) -> list[Line]:
    """The lines about a child, without errors and notes that the page has already."""
    running = child.status is Status.RUNNING
    did = progress_parts(child, now) if running else [effect(child) or steps_taken(child)]
    parts: list[Span] = [(part, Role.TEXT) for part in (time_taken(child, now), waited(child.after), *did) if part]
    parts += [(warnings_text(child), Role.WARNING)] if child.warnings else []
    lines = [
        *_heading(child, parts, width),
        *remarks(parent, child, width, indent=4, with_error=not only_found(child), told=told),
    ]
    for warning in child.warnings:
        lines += wrapped(warning, width, Role.WARNING, indent=4)
    lines += _findings(child, width)
    lines += [Line((("    ", Role.TEXT), *text.spans)) for text in before_and_after(child, width - 4)]
    lines += maps_of_job(child, width)
    attempts = {attempt.number: attempt for attempt in child.attempts}
    numbers = attempt_numbers(child)
    for number in numbers:
        if number in attempts and (len(numbers) > 1 or _shows_process(child)):
            text = attempt_text(child, attempts[number], lambda at: moment(at, parent.created_at))
            lines += wrapped(text, width, Role.DIM, indent=4)
        shown, hidden = shown_steps(child, number, now, all_of_them=unfolded)
        for step in shown:
            texts = step_text(child, step, parent.target, now, told, with_command=unfolded)
            lines += _step(step.status, texts, width)
        if hidden:
            others = hidden_text(hidden, now)
            lines += _step(Status.COMPLETED, replace(others, what=f"{others.what}: {key_of('unfold-log')}"), width)
        lines += _log(child, number, width, unfolded=unfolded)
    return lines


def _heading(child: ChildJob, parts: list[Span], width: int) -> list[Line]:
    """Operation and status with the parts that fit beside them; the other parts follow below."""
    spans: list[Span] = [(f".{child.ordinal} {child.operation.value}  ", Role.HEADING), status_beside(child)]
    room = width - span_cells(spans)
    beside = 0
    while beside < len(parts) and cells(parts[beside][0]) <= room:
        text, role = parts[beside]
        spans += [("  " if beside else "", Role.TEXT), (text, role)]
        room -= cells(text) + 2
        beside += 1
    below = [row for text, role in parts[beside:] for row in wrapped(text, width, role, indent=4)]
    return [line(*spans, key=child.ordinal), *below]


def _findings(child: ChildJob, width: int) -> list[Line]:
    """The findings of a check, one below the other."""
    found = findings(child)
    lines = [row for message in found for row in wrapped(f"× {message}", width, Role.FAILED, indent=4)]
    if not_kept := findings_not_kept(child, found):
        lines += wrapped(f"... and {not_kept:,} more that are not kept", width, Role.DIM, indent=4)
    return lines


def _shows_process(child: ChildJob) -> bool:
    """Whether the process of an only attempt matters: it runs, died or was stopped."""
    lost = {Reason.OWNER_LOST, Reason.SHUTDOWN}
    return child.status is Status.RUNNING or any(attempt.reason in lost for attempt in child.attempts)


def _step(status: Status, text: StepText, width: int) -> list[Line]:
    what = wrapped(text.what, width - 18, Role.SQL)
    glyph = f"{GLYPH[status]} "
    lines = [line("    ", (glyph, Role(status.value)), (f"{text.took:>9}  ", Role.DIM), *what[0].spans)]
    lines += [Line(((" " * 17, Role.TEXT), *row.spans)) for row in what[1:]]
    if text.effect and len(lines[-1].text) + 2 + len(text.effect) <= width:
        lines[-1] = Line((*lines[-1].spans, (f"  {text.effect}", Role.DIM)))
    elif text.effect:
        lines += wrapped(text.effect, width, Role.DIM, indent=17)
    if text.error:
        role = Role.FAILED if status is Status.FAILED else Role.WARNING
        lines += wrapped(text.error, width, role, indent=17)
    return lines


def _log(child: ChildJob, attempt: int, width: int, *, unfolded: bool) -> list[Line]:
    lines: list[Line] = []
    for entry in log_entries(child, attempt, with_settings=unfolded):
        if isinstance(entry, str):
            lines += wrapped(entry, width, Role.DIM, indent=6)
            continue
        role = {LogLevel.WARNING: Role.WARNING, LogLevel.ERROR: Role.FAILED}.get(entry.level, Role.DIM)
        lines += wrapped(f"{local_time(entry.at)[11:]}  {entry.level}  {entry.message}", width, role, indent=6)
    return lines


def trend_lines(trends: Sequence[Trend], job: int, width: int) -> list[Line]:
    """A heading, and plots of durations and of the size, side by side; nothing without operations.

    Args:
        job: the number of the job that the trends lead up to.
    """
    if not trends:
        return []
    lines = [line(("Trend on this database up to this job", Role.HEADING))]
    lines += [Line(tuple(_trend_spans(cells))) for cells in side_by_side(plots(trends, job), width - _TREND_INDENT)]
    others = too_few(trends)
    return lines + (wrapped(others, width, Role.DIM, indent=_TREND_INDENT) if others else [])


def _trend_spans(cells: Sequence[PlotCell]) -> Iterator[Span]:
    yield " " * _TREND_INDENT, Role.TEXT
    for cell in cells:
        yield cell.text, Role.TEXT if cell.is_title else Role.DIM
        yield cell.bars, Role.BAR
