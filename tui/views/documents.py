"""The pages that are read from top to bottom: a plan, and a whole job."""

from __future__ import annotations

from engine import ChildJob, LogLine, OperationPlan, ParentJob, Plan, PlannedStep, Status, Step
from tui.text import GLYPH, counted, local_time, plain, precise_duration, size
from tui.views.detail import WHAT_TO_DO, before_and_after, times
from tui.views.header import facts_in_words
from tui.views.line import Line, Role, line, wrapped
from tui.views.status import effect, operations, status_span, time_taken, warnings


def plan_document(plan: Plan, name: str, width: int) -> list[Line]:
    """Every command that would run, in order, with why, whom it blocks, and what it needs."""
    total = sum(len(operation.steps) for operation in plan.operations)
    lines = [
        line((plain(name), Role.STRONG), ("  " + "  ".join(map(plain, facts_in_words(plan.before))), Role.DIM)),
        *wrapped(
            f"{counted(len(plan.operations), 'operation')}, {counted(total, 'step')}; nothing has run yet.", width
        ),
    ]
    for number, operation in enumerate(plan.operations, 1):
        lines += [line(), *_planned_operation(number, operation, width)]
    return lines


def _planned_operation(number: int, operation: OperationPlan, width: int) -> list[Line]:
    heading = (f"{number} {operation.operation.value}", Role.HEADING)
    if operation.refused is not None:
        return [line(heading, ("  refused", Role.FAILED)), *wrapped(operation.refused, width, Role.FAILED, indent=2)]
    lines = [line(heading, f"  {counted(len(operation.steps), 'step')}")]
    said: tuple[str, str] | None = None
    for step in operation.steps:
        lines += wrapped(plain(step.command), width, Role.SQL, indent=2)
        if (step.reason, step.lock) != said:
            said = step.reason, step.lock
            lines += wrapped(step.reason, width, Role.TEXT, indent=4)
            lines += wrapped(step.lock, width, Role.DIM, indent=4)
        lines += _needs(step, width)
    return lines


def _needs(step: PlannedStep, width: int) -> list[Line]:
    needs = []
    if step.disk_needed is not None:
        needs.append(f"needs {size(step.disk_needed)} of free disk space while it runs")
    if step.estimate is not None:
        needs.append(f"takes about {precise_duration(step.estimate)}")
    return wrapped(", ".join(needs), width, Role.DIM, indent=4) if needs else []


def job_document(parent: ParentJob, name: str, *, now: int, width: int) -> list[Line]:
    """A parent with its children, their steps and their logs."""
    took = time_taken(parent, now)
    lines = [
        line((f"#{parent.id} ", Role.DIM), (plain(name) + "  ", Role.STRONG), status_span(parent, 13), took),
        *wrapped(parent.target, width, Role.DIM),
        *wrapped(operations(parent), width),
        *times(parent, width),
    ]
    for child in parent.children:
        lines += [line(), *_child(child, now, width)]
    return lines


def child_start(lines: list[Line], ordinal: int) -> int:
    """The number of the line where a child begins in its parent's document; 0 if it is not there."""
    return next((number for number, text in enumerate(lines) if text.key == ordinal), 0)


def _child(child: ChildJob, now: int, width: int) -> list[Line]:
    took = time_taken(child, now)
    said = "  ".join(part for part in (took, effect(child)) if part)
    tries = f"  attempt {child.attempt}" if child.attempt > 1 else ""
    lines = [
        line(
            (f".{child.ordinal} {child.operation.value}  ", Role.HEADING),
            status_span(child, 13),
            said + tries,
            (f"  {warnings(child)}" if child.warnings else "", Role.WARNING),
            key=child.ordinal,
        )
    ]
    if child.error:
        lines += wrapped(child.error, width, Role.FAILED, indent=4)
        if child.reason in WHAT_TO_DO and "Press enter" not in WHAT_TO_DO[child.reason]:
            lines += wrapped(WHAT_TO_DO[child.reason], width, indent=4)
    elif child.reason is not None:
        lines += wrapped(child.reason.value.replace("_", " "), width, Role.DIM, indent=4)
    for warning in child.warnings:
        lines += wrapped(warning, width, Role.WARNING, indent=4)
    lines += [Line((("    ", Role.TEXT), *text.spans)) for text in before_and_after(child, width - 4)]
    for step in child.steps:
        lines += _step(step, now, width)
    for entry in child.log:
        lines += _log(entry, width)
    return lines


def _step(step: Step, now: int, width: int) -> list[Line]:
    took = precise_duration(((step.finished_at or now) - step.started_at) / 1e6)
    command = wrapped(plain(step.command), width - 18, Role.SQL)
    lines = [
        line("    ", (f"{GLYPH[step.status]} ", Role(step.status.value)), (f"{took:>9}  ", Role.DIM), *command[0].spans)
    ]
    lines += [Line(((" " * 17, Role.TEXT), *text.spans)) for text in command[1:]]
    if step.error:
        role = Role.FAILED if step.status is Status.FAILED else Role.WARNING
        lines += wrapped(step.error, width, role, indent=17)
    return lines


def _log(entry: LogLine, width: int) -> list[Line]:
    role = {"warning": Role.WARNING, "error": Role.FAILED}.get(entry.level.value, Role.DIM)
    return wrapped(f"{local_time(entry.at)[11:]}  {entry.level.value}  {entry.message}", width, role, indent=6)
