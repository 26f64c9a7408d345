"""What of a job goes to the clipboard: what one wants to paste into a ticket or a shell, and no decoration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from engine import ChildJob, JobId, Operation, ParentJob, Status
from tui.console.views.detail import current_step
from tui.console.views.status import child_of

if TYPE_CHECKING:
    from engine import Advice, Plan

_WHAT_WAS_SAID: Final = {
    Status.FAILED: ("the error", "the errors"),
    Status.CANCELLED: ("what the cancel left", "what the cancels left"),
    Status.SKIPPED: ("why it was skipped", "why they were skipped"),
}
"""What the text of an operation that has ended so is, of one and of several: what weighs most comes first."""


def copied_job(parent: ParentJob, job: JobId, row: str) -> tuple[str, str]:
    """What it is, and its text: the errors, or what else its end left to say, else the SQL, else the row."""
    child = child_of(parent, job)
    children = [child] if child else parent.children
    if texts := [child.error for child in children if child.error and child.is_partly_completed]:
        return "what is left", "\n".join(texts)
    for status, (one, several) in _WHAT_WAS_SAID.items():
        if texts := [child.error for child in children if child.error and child.status is status]:
            return one if len(texts) == 1 else several, "\n".join(texts)
    if child is not None and (sql := _sql(child)):
        return "the SQL", sql
    return "this row", row


def _sql(child: ChildJob) -> str:
    """What it has executed in its last attempt; of steps that are not known, nothing."""
    if current_step(child) is None:
        return ""
    return statements(step.command for step in child.steps if step.attempt == child.attempt)


def copied_operation(operation: Operation, plan: Plan | None, advice: Iterable[Advice]) -> tuple[str, str]:
    """What it would execute, where that is known; else its name, and why it is needed or cannot run."""
    name = operation.value
    planned = next((one for one in plan.operations if one.operation is operation), None) if plan else None
    if planned is not None and planned.steps:
        return f"the SQL of {name}", statements([*planned.settings, *(step.command for step in planned.steps)])
    why = (planned.refused or planned.not_needed) if planned is not None else None
    why = why or next((one.reason for one in advice if one.operation is operation), None)
    return (f"{name} and why", f"{name}: {why}") if why else (f"the name of {name}", name)


def copied_plan(plans: Iterable[Plan]) -> str:
    """All commands of plans as a script, with what they are for as comments."""
    lines = []
    for plan in plans:
        lines.append(f"-- {_comment(plan.target)}")
        for operation in plan.operations:
            lines.append(f"-- {operation.operation.value}")
            if operation.refused is not None:
                lines.append(f"-- refused: {_comment(operation.refused)}")
            lines += map(_ended, [*operation.settings, *(step.command for step in operation.steps)])
    return "\n".join(lines) + "\n"


def statements(commands: Iterable[str]) -> str:
    return "\n".join(map(_ended, commands))


def _ended(command: str) -> str:
    return command if command.rstrip().endswith(";") else f"{command};"


def _comment(text: str) -> str:
    """One line, whatever a file name holds: what follows a line break would be no comment."""
    return " ".join(text.split())
