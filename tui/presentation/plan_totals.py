"""What the plans of many targets add up to, in all and operation by operation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine import Operation, OperationPlan, Plan, Verdict
from tui.presentation.fact_format import number
from tui.presentation.plan_summary import TotalDuration, in_all
from tui.presentation.text import counted, size


class PlanTotals:
    """The totals of plans, which are added one by one: there may be thousands, and they are shown as they are made."""

    def __init__(self, plans: Iterable[Plan] = ()) -> None:
        self.running = 0
        """The plans that run something,"""
        self.operations_to_run = 0
        """the operations of these,"""
        self.disk_needed = 0
        """and the bytes of disk space that they need if all run at once."""
        self._duration = TotalDuration()
        self._waits = self._is_refused = self._is_warned = False
        self._by_operation: dict[Operation, _OperationTotal] = {}
        for plan in plans:
            self.add(plan)

    def add(self, plan: Plan) -> None:
        for operation in plan.operations:
            self._by_operation.setdefault(operation.operation, _OperationTotal()).add(plan, operation)
            self._is_refused = self._is_refused or operation.verdict is Verdict.REFUSE
        if not plan.runs:
            return
        self.running += 1
        self.operations_to_run += len(plan.to_run)
        self.disk_needed += disk_needed(plan)
        self._is_warned = self._is_warned or bool(plan.warnings)
        for operation in plan.to_run:
            self._duration.add(operation)
            self._waits = self._waits or operation.waits
            self._is_warned = self._is_warned or operation.verdict is Verdict.WARN

    @property
    def worst(self) -> Verdict:
        return Verdict.REFUSE if self._is_refused else Verdict.WARN if self._is_warned else Verdict.OK

    @property
    def duration(self) -> str:
        """`about 25 s in all`; "" if unknown."""
        return in_all(self._duration, waits=self._waits)

    def by_operation(self) -> Iterator[tuple[str, str]]:
        """`vacuum`, `12 databases of 4.10 GB, about 3 min in all, 2 planned elsewhere, nothing to do on 8`."""
        return ((operation.value, total.text) for operation, total in self._by_operation.items())


class _OperationTotal:
    def __init__(self) -> None:
        self._planned = self._running = self._refused = self._elsewhere = 0
        self._bytes: float = 0
        self._duration = TotalDuration()

    def add(self, plan: Plan, operation: OperationPlan) -> None:
        self._planned += 1
        self._refused += operation.refused is not None
        self._elsewhere += plan.made_on is not None
        if operation.steps:
            self._running += 1
            self._bytes += number(plan.before, "size") or 0
            self._duration.add(operation)

    @property
    def text(self) -> str:
        of = f" of {size(self._bytes)}" if self._bytes else ""
        idle = self._planned - self._running - self._refused - self._elsewhere
        parts = (
            f"{counted(self._running, 'database')}{of}" if self._running else "",
            self._duration.text,
            f"{self._refused:,} refused" if self._refused else "",
            f"{self._elsewhere:,} planned elsewhere" if self._elsewhere else "",
            f"nothing to do on {idle:,}" if idle else "",
        )
        return ", ".join(filter(None, parts))


def disk_needed(plan: Plan) -> int:
    """Bytes of disk space needed at once: steps on one database run one after the other."""
    return max((step.disk_needed or 0 for operation in plan.operations for step in operation.steps), default=0)
