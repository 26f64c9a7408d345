"""The plans of many targets, on few lines: totals first, then a line for each operation on each target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engine import OperationPlan, Plan, Verdict
from engine.domain.steps import Micros
from engine.schedules.night import PlannedOperation, PlannedTarget, PlannedWork, planned_night
from tui.commands.naming import named, tell_apart
from tui.commands.plan_report import asks_first, total
from tui.commands.report import columns
from tui.presentation.plan_summary import extent, verdict
from tui.presentation.plan_totals import PlanTotals
from tui.presentation.text import counted, plain, size

_ATTENTION: Final = (Verdict.REFUSE, Verdict.WARN, Verdict.OK)


def overview_lines(plans: Sequence[Plan], fitting: str = "") -> Iterator[str]:
    """The totals of all, those of each operation, then what needs attention first, and what runs.

    An operation that has nothing to do on a target is counted only, and a warning of several targets is shown once.
    `fitting`: how many of the targets fit into the time limit, as text.
    """
    tell_apart(plan.target for plan in plans)
    yield total(plans)
    if asking := sum(map(asks_first, plans)):
        yield f"run asks first for {counted(asking, 'target')}, or give --yes"
    if fitting:
        yield fitting
    yield ""
    yield from columns(list(PlanTotals(plans).by_operation()))
    shown = [
        (plan, operation) for plan in plans for operation in plan.operations if operation.steps or operation.refused
    ]
    shown.sort(key=lambda pair: _ATTENTION.index(pair[1].verdict))
    warned: dict[str, list[str]] = {}
    for plan in plans:
        for warning in dict.fromkeys(plan.warnings):
            warned.setdefault(warning, []).append(plan.target)
    rows: list[tuple[str, ...]] = [
        (named(one[0]) if len(one) == 1 else f"({counted(len(one), 'target')})", "", "warning", plain(warning))
        for warning, one in warned.items()
    ]
    if rows := [*rows, *(_row(plan, one) for plan, one in shown)]:
        yield ""
        yield from columns(rows)
    yield ""
    yield "dbtend plan TARGET shows every step of one target"


def fitting_text(plans: Sequence[Plan], now: Micros, closes: Micros | None, workers: int) -> str:
    """`about 20 of 40 targets fit into the time limit, 4 at a time`; "" if all do, by their estimates."""
    targets = [PlannedTarget(target=plan.target, operations=_operations(plan)) for plan in plans]
    work = PlannedWork(schedule=None, targets=targets, opens_at=now, closes_at=closes)
    night = planned_night(work, workers=workers)
    whole = sum(target.is_whole for target in night.targets)
    if whole == len(plans):
        return ""
    return f"about {whole:,} of {counted(len(plans), 'target')} fit into the time limit, {workers:,} at a time"


def _operations(plan: Plan) -> list[PlannedOperation]:
    return [
        PlannedOperation(plan=operation, idle=operation.refused or operation.not_needed or "", fit=plan.options.fit)
        for operation in plan.operations
    ]


def _row(plan: Plan, one: OperationPlan) -> tuple[str, ...]:
    """`sales [PROD]  vacuum  ready  1 step, about 7 s, needs 1.20 GB`."""
    needs = max((step.disk_needed or 0 for step in one.steps), default=0)
    text = ", ".join(filter(None, (extent(one), f"needs {size(needs)}" if needs else "")))
    return named(plan.target), one.operation.value, verdict(one), plain(one.refused) if one.refused else text
