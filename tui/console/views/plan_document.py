"""The page of a plan."""

from __future__ import annotations

from collections.abc import Sequence

from engine import OperationPlan, Plan, Verdict
from engine.domain.errors import DbtendError, TargetBusyError
from tui.console.keymap import with_keys
from tui.console.views.header import format_facts
from tui.console.views.line import Line, Role, Span, line, named, span_cells, wrapped
from tui.presentation.plan_summary import StepNotes, extent, options, step_notes, verdict, whole_extent
from tui.presentation.text import cells, plain

_LOCK_TIMEOUT_HINT = (
    "To wait longer for locks, raise lock_timeout in the config file, of the target or in [defaults], "
    "and start dbtend again."
)
_ROLES = {Verdict.OK: Role.COMPLETED, Verdict.WARN: Role.WARNING, Verdict.REFUSE: Role.FAILED}


def plan_document(plan: Plan, name: str, width: int, *, is_alone: bool = True) -> list[Line]:
    """Every command that would run, in order, with reason, locks, disk space, and what a cancel leaves.

    `is_alone`: no other plan is on the page.
    """
    if plan.made_on:
        return _made_elsewhere(plan, plan.made_on, name, width)
    lines = [
        line(*_name_and_facts(plan, name, width)),
        *wrapped(whole_extent(plan.operations) + ("; nothing has run yet." if is_alone else ""), width),
        *wrapped(f"options: {plain(options(plan))}", width, Role.DIM),
    ]
    for warning in plan.warnings:
        lines += wrapped(warning, width, Role.WARNING)
    for number, operation in enumerate(plan.operations, 1):
        lines += [line(), *_planned_operation(number, operation, width)]
    return lines


def _made_elsewhere(plan: Plan, host: str, name: str, width: int) -> list[Line]:
    """The operations alone."""
    lines = [
        line(*named(name, width)),
        *wrapped(f"It is a file of {plain(host)}. A worker there plans the steps when the job begins.", width),
        *wrapped(f"options: {plain(options(plan))}", width, Role.DIM),
        line(),
    ]
    is_narrowed = plan.options.if_needed is not None
    for number, operation in enumerate(plan.operations, 1):
        lines.append(line((f"{number} {operation.operation.value}", Role.HEADING), "  if needed" * is_narrowed))
        if operation.needs_confirmation:
            lines += wrapped(f"{operation.needs_confirmation}: asks for confirmation", width, Role.WARNING, indent=2)
    return lines


def _name_and_facts(plan: Plan, name: str, width: int) -> list[Span]:
    """The name, and as many whole facts as fit."""
    spans: list[Span] = [*named(name, width)]
    room = width - span_cells(spans)
    for fact in format_facts(plan.before):
        piece = f"  {plain(fact)}"
        if (room := room - cells(piece)) < 0:
            break
        spans.append((piece, Role.DIM))
    return spans


def what_to_do(errors: Sequence[DbtendError], width: int) -> list[Line]:
    again = "Press {look-again} to plan again." if errors else ""
    if any(isinstance(error, TargetBusyError) for error in errors):
        again += f" {_LOCK_TIMEOUT_HINT}"
    return wrapped(with_keys(again), width) if again else []


def _planned_operation(number: int, operation: OperationPlan, width: int) -> list[Line]:
    role = Role.DIM if operation.not_needed is not None and operation.refused is None else _ROLES[operation.verdict]
    lines = [
        line(
            (f"{number} {operation.operation.value}", Role.HEADING),
            (f"  {verdict(operation)}", role),
            f"  {extent(operation)}" if operation.steps else "",
        )
    ]
    for why in (operation.refused, operation.not_needed):
        lines += wrapped(why, width, role, indent=2) if why is not None else []
    for warning in operation.warnings:
        lines += wrapped(warning, width, Role.WARNING, indent=2)
    if operation.needs_confirmation:
        lines += wrapped(f"{operation.needs_confirmation}: asks for confirmation", width, Role.WARNING, indent=2)
    if operation.settings:
        lines += wrapped("; ".join(operation.settings), width, Role.SQL, indent=2)
    if operation.settings_reason:
        lines += wrapped(operation.settings_reason, width, Role.DIM, indent=4)
    if operation.offer:
        lines += wrapped(operation.offer, width, Role.DIM, indent=4)
    if operation.estimated_from:
        lines += wrapped(f"estimate: {operation.estimated_from}", width, Role.DIM, indent=2)
    for step, notes in step_notes(operation):
        lines += wrapped(plain(step.command), width, Role.SQL, indent=2)
        lines += _notes(notes, width)
    return lines


def _notes(notes: StepNotes, width: int) -> list[Line]:
    lines = wrapped(notes.window, width, Role.WARNING, indent=4) if notes.window else []
    lines += wrapped(notes.reason, width, Role.TEXT, indent=4) if notes.reason else []
    after_cancel = f"cancel: {notes.after_cancel}" if notes.after_cancel else ""
    for words in (notes.lock, after_cancel, notes.needs):
        lines += wrapped(words, width, Role.DIM, indent=4) if words else []
    return lines
