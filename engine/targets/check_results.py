"""What a step of a check found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.domain.statuses import Status
from engine.domain.steps import format_findings
from engine.targets.step_execution import StepResult

CHECK_UNFINISHED: Final = "the check did not finish; it changes nothing"
REBUILD_INDEXES: Final = "Run reindex, which rebuilds damaged indexes from their tables."
CHECK_AGAIN: Final = "Then check again."


def check_result(findings: Sequence[str]) -> StepResult:
    """The result of a step of a check. `findings`: one sentence each."""
    number = len(findings)
    if not number:
        return StepResult(status=Status.COMPLETED, effect={"findings": 0})
    more = "" if number == 1 else f", the first of {format_findings(number)}"
    return StepResult(
        status=Status.FAILED,
        error=findings[0] + more,
        error_is_finding=True,
        effect={"findings": number},
        findings=tuple(findings),
    )
