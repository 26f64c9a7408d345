"""The plans of many targets, on few lines: totals first, then a line for each operation on each target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engine import OperationPlan, Plan, Verdict
from tui.commands.naming import named
from tui.commands.plan_report import asks_first, total
from tui.commands.report import columns
from tui.presentation.plan_summary import extent, verdict
from tui.presentation.plan_totals import operation_totals
from tui.presentation.text import counted, plain, size

MANY: Final = 5
"""More plans than this are not printed in full."""
_ATTENTION: Final = (Verdict.REFUSE, Verdict.WARN, Verdict.OK)


def overview_lines(plans: Sequence[Plan]) -> Iterator[str]:
    """The totals of all, those of each operation, then what needs attention first, and what runs.

    An operation that has nothing to do on a target is counted only.
    """
    yield total(plans)
    if asking := sum(map(asks_first, plans)):
        yield f"run asks first for {counted(asking, 'target')}, or give --yes"
    yield ""
    yield from columns(list(operation_totals(plans)))
    shown = [(plan, one) for plan in plans for one in plan.operations if one.steps or one.refused]
    shown.sort(key=lambda pair: _ATTENTION.index(pair[1].verdict))
    rows: list[tuple[str, ...]] = [
        (named(plan.target), "", "warning", plain(warning)) for plan in plans for warning in plan.warnings
    ]
    if rows := [*rows, *(_row(plan, one) for plan, one in shown)]:
        yield ""
        yield from columns(rows)
    yield ""
    yield "dbtend plan TARGET shows every step of one target"


def _row(plan: Plan, one: OperationPlan) -> tuple[str, ...]:
    """`sales [PROD]  vacuum  ready  1 step, about 7 s, needs 1.20 GB`."""
    needs = max((step.disk_needed or 0 for step in one.steps), default=0)
    text = ", ".join(filter(None, (extent(one), f"needs {size(needs)}" if needs else "")))
    return named(plan.target), one.operation.value, verdict(one), plain(one.refused) if one.refused else text
