"""How long an operation will take, by how long it took before on the same database: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine.extent import extent
from engine.jobs import ChildJob, Facts, Operation, Options, ParentJob, Status, run_duration

if TYPE_CHECKING:
    from engine.targets.base import OperationPlan, Plan

JOBS_LOOKED_AT: Final = 50
"""The newest that many of a target."""
RUNS: Final = 5
"""The newest that many of them in which the operation completed."""
EARLIER_RUNS: Final = "as long as in earlier runs"


def with_estimates(plan: Plan, jobs: Sequence[ParentJob], options: Options) -> Plan:
    """The plan with what history says of its operations. `jobs`: those of the target, the newest first."""
    estimated = (
        _estimated(operation, seconds_expected(operation.operation, options, jobs, plan.before))
        for operation in plan.operations
    )
    return replace(plan, operations=tuple(estimated))


def seconds_expected(operation: Operation, options: Options, jobs: Iterable[ParentJob], before: Facts) -> float | None:
    """The usual duration, in proportion to the database's size now; None where it did not complete before."""
    runs = [_scaled(child, before) for child in _comparable(operation, options, jobs)]
    known = [seconds for seconds in runs if seconds is not None][:RUNS]
    return _median(known) if known else None


def _median(values: Sequence[float]) -> float:  # the module `statistics` would bring decimal and fractions along
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _comparable(operation: Operation, options: Options, jobs: Iterable[ParentJob]) -> Iterator[ChildJob]:
    """Those that completed, of the same extent, the newest first."""
    wanted = extent(operation, options)
    for job in jobs:
        if extent(operation, job.request.options) == wanted:
            for child in reversed(job.children):
                if child.operation is operation and child.status is Status.COMPLETED:
                    yield child


def _scaled(child: ChildJob, before: Facts) -> float | None:
    seconds = run_duration(child, child.finished_at or 0)
    now, then = before.get("size"), (child.before or {}).get("size")
    if seconds is None or not isinstance(now, int | float) or not isinstance(then, int | float) or then <= 0:
        return seconds
    return seconds * now / then


def _estimated(plan: OperationPlan, seconds: float | None) -> OperationPlan:
    """The estimates of the steps stretched so that they come to `seconds` together."""
    if seconds is None or not plan.steps:
        return plan
    given = [step.weight if step.estimate is None else step.estimate for step in plan.steps]
    known = [share for share in given if share]
    usual = sum(known) / len(known) if known else 1.0
    shares = [usual if share is None else share for share in given]
    whole = max(sum(shares) / plan.parallel, *shares)
    if not whole:
        return plan
    steps = tuple(
        replace(step, estimate=seconds * share / whole) for step, share in zip(plan.steps, shares, strict=True)
    )
    return replace(plan, steps=steps, estimated_from=EARLIER_RUNS)
