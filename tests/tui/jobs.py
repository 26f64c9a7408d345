"""Jobs as the command line meets them, with fixed times."""

from __future__ import annotations

from dataclasses import replace

from engine import Attempt, ChildJob, EngineName, LogLine, Operation, ParentJob, Reason, Request, Status, Step
from engine.domain.statuses import parent_status
from engine.domain.steps import LogLevel

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def child(
    ordinal: int = 1,
    status: Status = Status.COMPLETED,
    reason: Reason | None = None,
    *,
    operation: Operation = Operation.VACUUM,
    error: str | None = None,
) -> ChildJob:
    """A child that began at START and, if it is over, took 1.5 seconds."""
    started = status not in {Status.PENDING, Status.SKIPPED}
    return ChildJob(
        parent_id=42,
        ordinal=ordinal,
        operation=operation,
        status=status,
        reason=reason,
        error=error,
        attempt=int(started),
        started_at=START if started else None,
        finished_at=START + 3 * SECOND // 2 if status.is_final else None,
    )


def parent(*children: ChildJob) -> ParentJob:
    status = parent_status((c.status, c.started_at is not None) for c in children)
    return ParentJob(
        id=42,
        engine=EngineName.SQLITE,
        request=Request(target="sqlite:///srv/sales.db", operations=tuple(c.operation for c in children)),
        status=status,
        created_at=START,
        started_at=START,
        finished_at=START + 2 * SECOND if status.is_final else None,
        children=children,
    )


def vacuumed() -> ParentJob:
    """A completed VACUUM that gave 9.8 MB back, with its step and log."""
    step = Step(
        number=1, attempt=1, object="main", command="VACUUM", status=Status.COMPLETED,
        started_at=START, finished_at=START + SECOND,
    )  # fmt: skip
    line = LogLine(number=1, attempt=1, at=START, level=LogLevel.WARNING, message="hello\x1b[2J")
    done = replace(child(), before={"size": 24_100_000}, after={"size": 14_300_000}, steps=(step,), log=(line,))
    return parent(done)


def rescued() -> ChildJob:
    """A child whose first process died after a second; the next runs it since a second later."""
    lost = Attempt(
        number=1, pid=4711, host="db1", started_at=START, finished_at=START + SECOND,
        status=Status.FAILED, reason=Reason.OWNER_LOST,
    )  # fmt: skip
    again = Attempt(
        number=2, pid=4712, host="db1", started_at=START + 2 * SECOND, finished_at=None, status=Status.RUNNING
    )
    return replace(child(1, Status.RUNNING), attempt=2, attempts=(lost, again))
