"""The page of a job: its operations with their attempts, steps and logs."""

from __future__ import annotations

from collections.abc import Sequence

from engine import Attempt, ChildJob, LogLine, ParentJob, Reason, Status, Step, Trend
from tui.console.views.detail import before_and_after, how_far
from tui.console.views.line import Line, Role, Span, line, wrapped
from tui.console.views.remarks import error_of, how_it_ended, remarks, without_advice
from tui.console.views.status import head_of, operations, status_beside, time_taken, warnings
from tui.console.views.times import moment, times
from tui.console.views.trend import trend_lines
from tui.presentation.effect_summary import (
    effect,
    findings,
    is_finding,
    only_found,
    step_effect,
    steps_taken,
    tells_a_finding,
)
from tui.presentation.fact_format import number, waited
from tui.presentation.text import GLYPH, cells, counted, local_time, plain, precise_duration


def job_document(parent: ParentJob, name: str, *, now: int, width: int, trends: Sequence[Trend] = ()) -> list[Line]:
    """A parent with its children, their attempts, steps and logs; then how its operations went over time."""
    lines = [
        *head_of(parent, name, now, width),
        *wrapped(parent.target, width, Role.DIM),
        *wrapped(operations(parent), width),
        *times(parent, width),
    ]
    for child in parent.children:
        lines += [line(), *_child(parent, child, now, width)]
    return [*lines, line(), *trend_lines(trends, width)] if trends else lines


def child_start(lines: list[Line], ordinal: int) -> int:
    """The number of the line where a child begins in its parent's document; 0 if it is not there."""
    return next((at for at, text in enumerate(lines) if text.key == ordinal), 0)


def _child(parent: ParentJob, child: ChildJob, now: int, width: int) -> list[Line]:
    running = child.status is Status.RUNNING
    did = how_far(child, now) if running else [effect(child) or steps_taken(child)]
    said: list[Span] = [(part, Role.TEXT) for part in (time_taken(child, now), waited(child.after), *did) if part]
    said += [(warnings(child), Role.WARNING)] if child.warnings else []
    lines = [
        *_heading(child, said, width),
        *remarks(parent, child, width, indent=4, told=only_found(child)),
    ]
    for warning in child.warnings:
        lines += wrapped(warning, width, Role.WARNING, indent=4)
    lines += _findings(child, width)
    lines += [Line((("    ", Role.TEXT), *text.spans)) for text in before_and_after(child, width - 4)]
    attempts = {attempt.number: attempt for attempt in child.attempts}
    # Of what ran before this version kept attempts, only the steps tell.
    numbers = {*attempts, *(step.attempt for step in child.steps), *(entry.attempt for entry in child.log)}
    for attempt in sorted(numbers):
        if attempt in attempts and (len(numbers) > 1 or _process_is_of_interest(child)):
            lines += wrapped(_attempt(child, attempts[attempt], parent.created_at), width, Role.DIM, indent=4)
        lines += _steps_and_log(parent, child, attempt, now, width)
    return lines


def _heading(child: ChildJob, said: list[Span], width: int) -> list[Line]:
    """The operation and its status, and beside them what there is room for; what has none stands below."""
    spans: list[Span] = [(f".{child.ordinal} {child.operation.value}  ", Role.HEADING), status_beside(child)]
    room = width - sum(cells(text) for text, _ in spans)
    beside = 0
    while beside < len(said) and cells(said[beside][0]) <= room:
        text, role = said[beside]
        spans += [("  " if beside else "", Role.TEXT), (text, role)]
        room -= cells(text) + 2
        beside += 1
    below = [row for text, role in said[beside:] for row in wrapped(text, width, role, indent=4)]
    return [line(*spans, key=child.ordinal), *below]


def _findings(child: ChildJob, width: int) -> list[Line]:
    """What a check found, one below the other; of very many not all are kept."""
    found = findings(child)
    lines = [row for message in found for row in wrapped(f"× {message}", width, Role.FAILED, indent=4)]
    not_kept = int(number(child.after, "findings") or 0) - len(found)
    if found and not_kept > 0:
        lines += wrapped(f"... and {not_kept:,} more that are not kept", width, Role.DIM, indent=4)
    return lines


def _process_is_of_interest(child: ChildJob) -> bool:
    """Whether somebody may want to look at the process, or to know which it was."""
    lost = {Reason.OWNER_LOST, Reason.SHUTDOWN}
    return child.status is Status.RUNNING or any(attempt.reason in lost for attempt in child.attempts)


def _attempt(child: ChildJob, attempt: Attempt, beside: int) -> str:
    """`attempt 1  pid 4711 on db1  14:02:11 to 14:03:40  its process died`."""
    process = f"pid {attempt.pid} on {attempt.host}" if attempt.pid else "in an unknown process"
    began = moment(attempt.started_at, beside)
    if attempt.finished_at is None:
        return f"attempt {attempt.number}  {process}  since {began}"
    ended = moment(attempt.finished_at, beside)
    return f"attempt {attempt.number}  {process}  {began} to {ended}  {how_it_ended(child, attempt)}"


def _steps_and_log(parent: ParentJob, child: ChildJob, attempt: int, now: int, width: int) -> list[Line]:
    lines: list[Line] = []
    found = findings(child)
    for step in child.steps:
        if step.attempt == attempt:
            error = without_advice(child, step.error or "")
            is_told = tells_a_finding(step, found) or (attempt == child.attempt and error == error_of(parent, child))
            lines += _step(step, "" if is_told else error, now, width)
    return lines + _log(child, [entry for entry in child.log if entry.attempt == attempt], width)


def _step(step: Step, error: str, now: int, width: int) -> list[Line]:
    took = precise_duration(max((step.finished_at or now) - step.started_at, 0) / 1e6)
    command = wrapped(plain(step.command), width - 18, Role.SQL)
    lines = [
        line("    ", (f"{GLYPH[step.status]} ", Role(step.status.value)), (f"{took:>9}  ", Role.DIM), *command[0].spans)
    ]
    lines += [Line(((" " * 17, Role.TEXT), *text.spans)) for text in command[1:]]
    did = step_effect(step.effect)
    if did and len(lines[-1].text) + 2 + len(did) <= width:
        lines[-1] = Line((*lines[-1].spans, (f"  {did}", Role.DIM)))
    elif did:
        lines += wrapped(did, width, Role.DIM, indent=17)
    if error:
        role = Role.FAILED if step.status is Status.FAILED else Role.WARNING
        lines += wrapped(error, width, role, indent=17)
    return lines


def _log(child: ChildJob, entries: Sequence[LogLine], width: int) -> list[Line]:
    lines: list[Line] = []
    expected = 1
    for entry in entries:
        if entry.number > expected:
            left_out = counted(entry.number - expected, "line")
            lines += wrapped(f"... {left_out} left out ...", width, Role.DIM, indent=6)
        expected = entry.number + 1
        if is_finding(child, entry):
            continue
        role = {"warning": Role.WARNING, "error": Role.FAILED}.get(entry.level.value, Role.DIM)
        said = f"{local_time(entry.at)[11:]}  {entry.level.value}  {entry.message}"
        lines += wrapped(said, width, role, indent=6)
    return lines
