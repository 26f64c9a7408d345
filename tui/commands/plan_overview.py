"""The plans of many targets, on few lines: totals first, then a line for each operation on each target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engine import Operation, OperationPlan, Plan, Verdict
from tui.commands.naming import named
from tui.commands.plan_report import asks_first, total
from tui.commands.report import columns
from tui.presentation.fact_format import number
from tui.presentation.plan_summary import duration_of, extent, verdict
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
    operations = list(dict.fromkeys(operation.operation for plan in plans for operation in plan.operations))
    yield ""
    yield from columns([_group(operation, plans) for operation in operations])
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


def _group(operation: Operation, plans: Sequence[Plan]) -> tuple[str, ...]:
    """`vacuum  12 databases of 4.10 GB  about 3 min in all  8 with nothing to do`."""
    found = [(plan, one) for plan in plans for one in plan.operations if one.operation is operation]
    running = [(plan, one) for plan, one in found if one.steps]
    bytes_of_all = sum(number(plan.before, "size") or 0 for plan, _ in running)
    parts = [f"{counted(len(running), 'database')} of {size(bytes_of_all)}"] if running else []
    refused = sum(one.refused is not None for _, one in found)
    parts += [took] if (took := duration_of([one for _, one in running])) else []
    parts += [f"{refused:,} refused"] if refused else []
    idle = len(found) - len(running) - refused
    parts += [f"nothing to do on {idle:,}"] if idle else []
    return operation.value, ", ".join(parts)


def _row(plan: Plan, one: OperationPlan) -> tuple[str, ...]:
    """`sales [PROD]  vacuum  ready  1 step, about 7 s, needs 1.20 GB`."""
    needs = max((step.disk_needed or 0 for step in one.steps), default=0)
    text = ", ".join(filter(None, (extent(one), f"needs {size(needs)}" if needs else "")))
    return named(plan.target), one.operation.value, verdict(one), plain(one.refused) if one.refused else text
