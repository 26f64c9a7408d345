"""A plan as lines for a person: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engine import OperationPlan, Plan, PlannedStep
from tui.commands.naming import label_of, labelled, name_of
from tui.presentation.fact_format import number
from tui.presentation.plan_summary import extent, options, step_notes, verdict, whole_extent
from tui.presentation.risk import production_risk
from tui.presentation.text import counted, plain, size

MOST_ALIKE: Final = 10
"""Steps in a row that differ in their object only."""


def total(plans: Sequence[Plan]) -> str:
    """`3 targets: 6 operations, 12 steps, about 4 min in all`."""
    operations = [operation for plan in plans for operation in plan.operations]
    refused = sum(any(operation.refused for operation in plan.operations) for plan in plans)
    parts = [whole_extent(operations), f"{counted(refused, 'target')} with something refused" if refused else ""]
    return f"{counted(len(plans), 'target')}: {', '.join(filter(None, parts))}; nothing has run yet"


def plan_lines(plan: Plan) -> list[str]:
    """What would run, with everything that is known before it does."""
    lines = [
        f"{labelled(plan.target)}  {plan.engine}  {size(number(plan.before, 'size'))}",
        f"{whole_extent(plan.operations)}; nothing has run yet",
        f"options: {plain(options(plan))}",
        *(f"warning: {plain(warning)}" for warning in plan.warnings),
        *(f"yes: {plain(blocked)}. run asks first, or give --yes" for blocked in [_in_production(plan)] if blocked),
    ]
    for operation in plan.operations:
        lines += ["", *_operation(operation)]
    return lines


def asks_first(plan: Plan) -> bool:
    """Whether `run` asks before it does this."""
    return bool(_in_production(plan)) or any(operation.needs_confirmation for operation in plan.operations)


def _in_production(plan: Plan) -> str:
    locks = {operation.operation: operation.lock for operation in plan.operations}
    return production_risk(name_of(plan.target), label_of(plan.target), locks)


def _operation(operation: OperationPlan) -> Iterator[str]:
    yield "  ".join(filter(None, (operation.operation.value, verdict(operation), extent(operation))))
    for why in (operation.refused, operation.not_needed):
        if why is not None:
            yield f"  {plain(why)}"
    for warning in operation.warnings:
        yield f"  warning   {plain(warning)}"
    if operation.needs_confirmation:
        yield f"  yes       {operation.needs_confirmation}: run asks first, or give --yes"
    for label, setting in zip(("settings", *[""] * len(operation.settings)), operation.settings, strict=False):
        yield f"  {label:8}  {plain(setting)}"
    if operation.settings_reason:
        yield f"  because   {plain(operation.settings_reason)}"
    if operation.offer:
        yield f"  faster    {plain(operation.offer)}"
    if operation.estimated_from:
        yield f"  estimate  {plain(operation.estimated_from)}"
    yield from _steps(operation)


def _steps(operation: OperationPlan) -> Iterator[str]:
    """Of many steps that are alike only the first, which take longest, and how many more there are."""
    alike, hidden = 0, list[PlannedStep]()
    for step, notes in step_notes(operation):
        alike = 1 if notes.reason or notes.lock or notes.after_cancel or notes.window else alike + 1
        if alike > MOST_ALIKE:
            hidden.append(step)
            continue
        yield from _more(hidden)
        hidden.clear()
        yield f"  {plain(step.command)}"
        texts = {
            "limit": notes.window,
            "why": notes.reason,
            "lock": notes.lock,
            "cancel": notes.after_cancel,
            "needs": f"{notes.disk}, takes {notes.duration}" if notes.disk and notes.duration else notes.disk,
            "takes": "" if notes.disk else notes.duration,
        }
        for label, text in texts.items():
            if text:
                yield f"    {label:6}  {plain(text)}"
    yield from _more(hidden)


def _more(hidden: Sequence[PlannedStep]) -> Iterator[str]:
    if hidden:
        yield f"  ... and {counted(len(hidden), 'step')} more like these; --json shows all"
