"""What of a job goes to the clipboard: what one wants to paste into a ticket or a shell, and no decoration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine import ChildJob, JobId, ParentJob
from tui.views.detail import current_step
from tui.views.status import child_of

if TYPE_CHECKING:
    from engine import Plan


def copied_job(parent: ParentJob, job: JobId, row: str) -> tuple[str, str]:
    """What it is, and its text: the errors where something failed, else the SQL of an operation, else the row."""
    child = child_of(parent, job)
    children = [child] if child else parent.children
    errors = [one.error for one in children if one.error]
    if errors:
        return "the error" if len(errors) == 1 else "the errors", "\n".join(errors)
    if child is not None and (sql := _sql(child)):
        return "the SQL", sql
    return "this row", row


def _sql(child: ChildJob) -> str:
    """What it has executed in its last attempt; of steps that are not known, nothing."""
    if current_step(child) is None:
        return ""
    return statements(step.command for step in child.steps if step.attempt == child.attempt)


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
