"""Short ways to the values that tests need."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from engine.jobs import EngineName, OnFailure, Operation, Options, Outcome, Request, Status
from engine.store.base import NewJob

if TYPE_CHECKING:
    from collections.abc import Callable

ALL_FOUR = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE)
COMPLETED = Outcome(status=Status.COMPLETED)
FAILED = Outcome(status=Status.FAILED, error="it broke")


def new_job(
    target: str = "sales",
    *operations: Operation,
    on_failure: OnFailure = OnFailure.CONTINUE,
    retry_of: int | None = None,
) -> NewJob:
    """A job for the store, on a target that needs no file."""
    request = Request(
        target=f"sqlite:///{target}.db",
        operations=operations or ALL_FOUR,
        options=Options(on_failure=on_failure),
    )
    return NewJob(request=request, engine=EngineName.SQLITE, target_key=f"key of {target}", retry_of=retry_of)


def ticking_clock(start: int = 1_700_000_000_000_000, step: int = 1_000) -> Callable[[], int]:
    """A clock that moves on by `step` microseconds at each look."""
    ticks = count(start, step)
    return lambda: next(ticks)
