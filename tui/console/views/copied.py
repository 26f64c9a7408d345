"""Texts for the clipboard: errors and SQL without decoration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from engine import ChildJob, JobId, Operation, ParentJob, Status
from tui.console.views.detail import current_step
from tui.console.views.status import child_of

if TYPE_CHECKING:
    from engine import Advice, Plan

_NAMES_OF_ERRORS: Final = {
    Status.FAILED: ("the error", "the errors"),
    Status.CANCELLED: ("the effect of the cancel", "the effects of the cancels"),
    Status.SKIPPED: ("the reason of the skip", "the reasons of the skips"),
}
"""Names of the text of one operation or several, by status; the most important first."""


def copied_job(parent: ParentJob, job: JobId, shown: tuple[str, str]) -> tuple[str, str]:
    """A name for the text, and the text: the errors or reasons, else the SQL, else what is shown of it."""
    child = child_of(parent, job)
    children = [child] if child else parent.children
    if texts := [child.error for child in children if child.error and child.is_partly_completed]:
        return "the remaining findings", "\n".join(texts)
    for status, (one, several) in _NAMES_OF_ERRORS.items():
        if texts := [child.error for child in children if child.error and child.status is status]:
            return one if len(texts) == 1 else several, "\n".join(texts)
    if child is not None and (sql := _sql(child)):
        return "the SQL", sql
    return shown


def _sql(child: ChildJob) -> str:
    """The SQL of its last attempt; empty while its steps are unknown."""
    if current_step(child) is None:
        return ""
    return statements(step.command for step in child.steps if step.attempt == child.attempt)


def copied_operation(operation: Operation, plan: Plan | None, advice: Iterable[Advice]) -> tuple[str, str]:
    """The SQL that it would run, if known; else its name, with the reason why it is needed or refused."""
    name = operation.value
    planned = next((one for one in plan.operations if one.operation is operation), None) if plan else None
    if planned is not None and planned.steps:
        return f"the SQL of {name}", statements([*planned.settings, *(step.command for step in planned.steps)])
    why = (planned.refused or planned.not_needed) if planned is not None else None
    why = why or next((item.reason for item in advice if item.operation is operation), None)
    return (f"{name} and why", f"{name}: {why}") if why else (f"the name of {name}", name)


def copied_plan(plans: Iterable[Plan]) -> str:
    """All commands of plans as a script, with targets and operations as comments."""
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
    """One line: a file name may contain line breaks."""
    return " ".join(text.split())
