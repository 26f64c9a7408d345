"""Plans as the screens meet them."""

from __future__ import annotations

from engine import EngineName, Lock, LockImpact, Operation, OperationPlan, Plan, PlannedStep

VACUUM = PlannedStep(
    object="main",
    command="VACUUM",
    reason="31% free",
    lock=Lock(LockImpact.EVERYONE),
    after_cancel="the file stays as it was",
    disk_needed=2_000_000,
    estimate=3,
)


def plan(*operations: OperationPlan) -> Plan:
    return Plan(
        target="sqlite:///srv/sales.db",
        engine=EngineName.SQLITE,
        before={"size": 1_000_000, "pages": 250, "free_pages": 50, "journal_mode": "wal"},
        operations=operations,
    )


def vacuum(**more: object) -> OperationPlan:
    return OperationPlan(operation=Operation.VACUUM, steps=(VACUUM,), **more)  # type: ignore[arg-type]


def reindex(indexes: int, **more: object) -> OperationPlan:
    """A step for each index: all with the same words, each with its own needs."""
    steps = tuple(
        PlannedStep(
            object=f"i{number}",
            command=f'REINDEX main."i{number}"',
            reason="index of table item",
            lock=Lock(LockImpact.WRITERS),
            after_cancel="the old index stays",
            disk_needed=number * 1_000_000,
            estimate=float(number),
        )
        for number in range(1, indexes + 1)
    )
    return OperationPlan(operation=Operation.REINDEX, steps=steps, **more)  # type: ignore[arg-type]


NOT_NEEDED = OperationPlan(operation=Operation.CHECKPOINT, not_needed="the database keeps no log")
REFUSED = OperationPlan(operation=Operation.VACUUM, refused="the disk has no room\x1b: 1 MB of 2 MB")
