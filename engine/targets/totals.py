"""What the steps of an operation on a server did together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from engine.domain.effects import CheckResult
from engine.domain.steps import GAVE_WAY, Facts
from engine.targets.step_execution import StepResult

_SUMMED: Final = ("rows_removed", "rows_kept", "rows_lost", "pages_removed")


class Findings(Protocol):
    """What a check has found so far."""

    def result(self) -> CheckResult: ...


def with_sizes(effect: Mapping[str, int], before: int | None, after: int | None) -> dict[str, int]:
    """The effect with the size of the object before and now, where both are known."""
    if before is None or after is None:
        return dict(effect)
    return {**effect, "size": after, "size_before": before}


class Totals:
    """The sums over all steps."""

    def __init__(self, checks: Findings | None = None, left_out: int = 0) -> None:
        """
        Args:
            checks: of a check, what it has found.
            left_out: how many tables or indexes the plan leaves out, see `OperationPlan.left_out`.
        """
        self._sums: dict[str, int] = {}
        self._checks = checks
        self._left_out = left_out

    def add(self, result: StepResult, *, counts: bool = True) -> None:
        """Of a step that runs again only that it gave way. `counts`: whether it counts as a step."""
        effect = result.effect or {}
        if GAVE_WAY in effect:
            self._add(GAVE_WAY, 1)
        if result.requeue:
            return
        for name in _SUMMED:
            if isinstance(number := effect.get(name), int):
                self._add(name, number)
        before, after = effect.get("size_before"), effect.get("size")
        if isinstance(before, int) and isinstance(after, int):
            self._add("back_bytes", before - after)
        if counts:
            self._add(f"steps_{result.status}", 1)

    def _add(self, name: str, number: int) -> None:
        self._sums[name] = self._sums.get(name, 0) + number

    def facts(self) -> Facts:
        """Empty before the first step has ended."""
        if not self._sums:
            return {}
        left_out = {"left_out": self._left_out} if self._left_out else {}
        return {**(self._checks.result().facts() if self._checks is not None else {}), **self._sums, **left_out}
