"""How far estimates were from what happened: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.median import median
from engine.domain.past_runs import EstimatedRun
from engine.domain.requests import Operation

RUNS_READ: Final = 20_000
"""The newest runs that are compared."""
SHORTEST: Final = 0.001
"""Seconds: a run counts as at least this long."""
MISLEADING_SHARE: Final = 0.5
"""Estimates mislead a window where their median error is more than this share of the time that the work took."""
MISLEADING_SECONDS: Final = 60.0
"""Estimates mislead a window only where their median error is at least so many seconds, too."""
FEWEST_RUNS: Final = 3
"""Of fewer runs an error says nothing: one that others slowed down would make estimates look wrong."""


@frozen(kw_only=True)
class EstimateError:
    """The estimates of an operation on one target."""

    target: str
    operation: Operation
    runs: int
    error: float
    """The median error, as a share of what it took."""
    seconds: float
    """The median error in seconds."""


@frozen(kw_only=True)
class OperationError:
    """The estimates of an operation on all targets."""

    operation: Operation
    runs: int
    targets: int
    error: float
    """The median of the errors of its targets, as a share."""
    seconds: float
    """The median of the errors of its targets, in seconds."""
    worst: EstimateError | None
    """The target with the largest error among those with enough runs; None if there are none, or no others."""


def is_misleading(one: EstimateError | OperationError) -> bool:
    """Whether windows are planned badly by such estimates."""
    is_large = one.error > MISLEADING_SHARE and one.seconds >= MISLEADING_SECONDS
    return is_large and is_known(one)


def is_known(one: EstimateError | OperationError) -> bool:
    """Whether there are enough runs to tell."""
    return one.runs >= FEWEST_RUNS


def errors_by_target(runs: Iterable[EstimatedRun]) -> list[EstimateError]:
    """By operation and target, in the order of operations, the largest error first."""
    found: dict[tuple[Operation, str], list[EstimatedRun]] = {}
    for run in runs:
        found.setdefault((run.operation, run.target), []).append(run)
    errors = [
        EstimateError(
            target=target,
            operation=operation,
            runs=len(same),
            error=median([abs(run.estimate - run.seconds) / max(run.seconds, SHORTEST) for run in same]),
            seconds=median([abs(run.estimate - run.seconds) for run in same]),
        )
        for (operation, target), same in found.items()
    ]
    order = list(Operation)
    return sorted(errors, key=lambda one: (order.index(one.operation), -one.error, one.target))


def errors_by_operation(errors: Collection[EstimateError]) -> list[OperationError]:
    """`errors`: as `errors_by_target` returns them."""
    return [
        OperationError(
            operation=operation,
            runs=sum(one.runs for one in same),
            targets=len(same),
            error=median([one.error for one in same]),
            seconds=median([one.seconds for one in same]),
            worst=next(filter(is_known, same), None) if len(same) > 1 else None,
        )
        for operation in Operation
        if (same := [one for one in errors if one.operation is operation])
    ]
