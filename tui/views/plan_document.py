"""The page of a plan."""

from __future__ import annotations

from engine import OperationPlan, Plan, PlannedStep
from tui.text import counted, plain, precise_duration, size
from tui.views.header import facts_in_words
from tui.views.line import Line, Role, line, wrapped


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
