"""Short ways to the values that tests need."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING

from engine.domain.claims import Outcome
from engine.domain.engines import EngineName
from engine.domain.requests import OnFailure, Operation, Options, Request
from engine.domain.statuses import Status
from engine.store.protocol import Failure, NewJob
from engine.targets import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

ALL_FOUR = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE)
SQLITE_OPERATIONS = tuple(resolve("/sales.db").operations)
"""All that can be asked for on a SQLite file."""
COMPLETED = Outcome(status=Status.COMPLETED)
FAILED = Outcome(status=Status.FAILED, error="it broke")
CANCELLED = Outcome(status=Status.CANCELLED)


def new_job(
    target: str = "sales",
    *operations: Operation,
    on_failure: OnFailure = OnFailure.CONTINUE,
    stop_at_limit: bool = False,
    verify: bool = False,
    deadline_at: int | None = None,
    max_attempts: Mapping[Operation, int] | None = None,
    retry_of: int | None = None,
    host_key: str | None = None,
    failure: Failure | None = None,
) -> NewJob:
    """A job for the store, on a target that needs no file."""
    request = Request(
        target=f"sqlite:///{target}.db",
        operations=operations or ALL_FOUR,
        options=Options(on_failure=on_failure, stop_at_limit=stop_at_limit, verify=verify),
    )
    return NewJob(
        request=request,
        engine=EngineName.SQLITE,
        target_key=f"key of {target}",
        retry_of=retry_of,
        deadline_at=deadline_at,
        max_attempts=max_attempts or {},
        host_key=host_key,
        failure=failure,
    )


def ticking_clock(start: int = 1_700_000_000_000_000, step: int = 1_000) -> Callable[[], int]:
    """A clock that moves on by `step` microseconds at each look."""
    ticks = count(start, step)
    return lambda: next(ticks)


class StoppedClock:
    """A clock that shows what a test sets it to."""

    def __init__(self, at: int = 1_700_000_000_000_000) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at
