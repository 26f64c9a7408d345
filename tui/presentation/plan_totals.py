"""What the plans of many targets add up to, operation by operation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import Operation, Plan
from tui.presentation.fact_format import number
from tui.presentation.plan_summary import duration_of
from tui.presentation.text import counted, size


def operation_totals(plans: Sequence[Plan]) -> Iterator[tuple[str, str]]:
    """`vacuum`, `12 databases of 4.10 GB, about 3 min in all, 2 planned elsewhere, nothing to do on 8`."""
    for operation in dict.fromkeys(one.operation for plan in plans for one in plan.operations):
        yield operation.value, _total_of(operation, plans)


def _total_of(operation: Operation, plans: Sequence[Plan]) -> str:
    found = [(plan, one) for plan in plans for one in plan.operations if one.operation is operation]
    running = [(plan, one) for plan, one in found if one.steps]
    known = sum(number(plan.before, "size") or 0 for plan, _ in running)
    parts = [counted(len(running), "database") + (f" of {size(known)}" if known else "")] if running else []
    refused = sum(one.refused is not None for _, one in found)
    parts += [took] if (took := duration_of([one for _, one in running])) else []
    parts += [f"{refused:,} refused"] if refused else []
    elsewhere = sum(plan.made_on is not None for plan, _ in found)
    parts += [f"{elsewhere:,} planned elsewhere"] if elsewhere else []
    idle = len(found) - len(running) - refused - elsewhere
    parts += [f"nothing to do on {idle:,}"] if idle else []
    return ", ".join(parts)
