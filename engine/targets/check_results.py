"""What a check found: the result of a step, and the facts that the history keeps of the operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.domain.requests import CheckLevel
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


def check_facts(
    *,
    level: CheckLevel,
    findings: int,
    damage: str | None,
    remedy: str,
    complete: bool,
    indexes: Sequence[str] = (),
    tables: Sequence[str] | None = None,
) -> dict[str, int | str | Sequence[str] | None]:
    """The facts of a check, as `TargetHistory` reads them.

    Args:
        damage: the first finding that no operation repairs.
        remedy: what a person does about the findings; "" for nothing.
        complete: whether it checked everything that it was to check.
        indexes: the damaged indexes, which REINDEX can rebuild.
        tables: the damaged tables, where the engine checks each table by itself.
    """
    return {
        "findings": findings,
        "level": level.value,
        "damaged_indexes": tuple(indexes),
        **({} if tables is None else {"damaged_tables": tuple(tables)}),
        "damage": damage,
        "remedy": remedy,
        "complete": complete,
    }
