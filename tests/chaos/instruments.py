"""What makes a process of dbtend tell what it does, and, where that is asked for, do it wrong.

Nothing is replaced: the real parts run, with a line to the trace before or after.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.domain.claims import Claim, Outcome, Report
from engine.domain.errors import OwnershipLostError
from engine.execution.plan_run import PlanRun
from engine.execution.reporter import Reporter
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.store.sqlite import liveness, queries, transactions
from engine.store.sqlite.store import SqliteStore
from tests.chaos.trace import Trace, What

DIRECTORY = "DBTEND_CHAOS"
"""The environment variable that names the directory of a chaos test,"""
PLANTS = "DBTEND_CHAOS_PLANTS"
"""and the one with the bugs to plant."""
LONGER = 0.1
"""Seconds."""
LIES = 0.3
"""The share of looks at a living process in which a liar declares it dead."""


class Plant(StrEnum):
    LIAR = "liar"
    """Declares living processes dead, at random."""
    UNFENCED = "unfenced"
    """Finishes what is no longer its own."""


def install() -> None:
    """Instrument this process as its environment says."""
    trace = Trace(Path(os.environ[DIRECTORY]))
    _wrap(DatabaseMaintenanceWorker, "execute", lambda execute: _telling_executions(trace, execute))
    tell_ends(SqliteStore, trace)
    _wrap(liveness, "kill", lambda kill: _telling_kills(trace, kill))
    plants = os.environ.get(PLANTS, "").split()
    if Plant.LIAR in plants:
        _lie_about_the_living()
    if Plant.UNFENCED in plants:
        transactions.OWNED = "parent_id = ? AND ordinal = ? AND coalesce(?, ?) IS NOT NULL"
        queries.IS_OWNED = "SELECT 1"  # it is also asked before a step


def tell_ends(store: type, trace: Trace) -> None:
    """From now on tell what a kind of store accepts, and what not."""
    for name in ("finish", "finish_and_claim"):
        _wrap(store, name, lambda finish: _telling_finishes(trace, finish))
    _wrap(store, "release", lambda release: _telling_releases(trace, release))


def tell_work(trace: Trace) -> None:
    """From now on tell when steps begin at a target, once nothing is to be waited for, and let them take longer."""

    def telling(outcome: Callable[[PlanRun], Awaitable[Outcome]]) -> Callable[..., Awaitable[Outcome]]:
        async def told(run: PlanRun) -> Outcome:
            claim = run._attempt.claim
            with _on_target(trace, claim.target) as alone:
                trace.tell(What.BEGAN, job=claim.job, attempt=claim.attempt, target=claim.target, alone=alone)
                await asyncio.sleep(random.uniform(0, LONGER))
                ended = await outcome(run)
                trace.tell(What.ENDED, job=claim.job, attempt=claim.attempt, target=claim.target, status=ended.status)
            return ended

        return told

    _wrap(PlanRun, "outcome", telling)


def _wrap(owner: object, name: str, wrapped: Callable[[Any], Any]) -> None:
    setattr(owner, name, wrapped(getattr(owner, name)))


def _telling_executions(
    trace: Trace, execute: Callable[..., Awaitable[Outcome]]
) -> Callable[[DatabaseMaintenanceWorker, Claim, Reporter, asyncio.Event], Awaitable[Outcome]]:
    async def told(
        worker: DatabaseMaintenanceWorker, claim: Claim, reporter: Reporter, cancel: asyncio.Event
    ) -> Outcome:
        with _on_target(trace, claim.target) as alone:
            trace.tell(What.BEGAN, job=claim.job, attempt=claim.attempt, target=claim.target, alone=alone)
            outcome = await execute(worker, claim, reporter, cancel)
            trace.tell(What.ENDED, job=claim.job, attempt=claim.attempt, target=claim.target, status=outcome.status)
        return outcome

    return told


@contextmanager
def _on_target(trace: Trace, target: str) -> Iterator[bool]:
    """Hold the target's lock, which the kernel drops when this process dies; whether it was free."""
    name = hashlib.sha256(target.encode(errors="surrogateescape")).hexdigest()
    lock = os.open(trace.directory / f"{name}.target", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _telling_finishes(trace: Trace, finish: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def told(store: SqliteStore, claim: Claim, outcome: Outcome, report: Report, *rest: Any) -> Any:
        try:
            result = await finish(store, claim, outcome, report, *rest)
        except OwnershipLostError:
            trace.tell(What.REFUSED, job=claim.job, attempt=claim.attempt, status=outcome.status)
            raise
        kept = outcome.attempt or 0
        trace.tell(What.FINISHED, job=claim.job, attempt=claim.attempt, ended_before=kept, status=outcome.status)
        return result

    return told


def _telling_releases(trace: Trace, release: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def told(store: SqliteStore, claim: Claim, report: Report) -> None:
        await release(store, claim, report)
        trace.tell(What.RELEASED, job=claim.job, attempt=claim.attempt)

    return told


def _telling_kills(trace: Trace, kill: Callable[[Path, str, int], bool]) -> Callable[[Path, str, int], bool]:
    """Still inside the transaction, so before anybody can have taken over what the process ran."""

    def told(store: Path, owner: str, pid: int) -> bool:
        was_there = kill(store, owner, pid)
        if was_there:
            trace.tell(What.KILLED, pid=pid)
        return was_there

    return told


def _lie_about_the_living() -> None:
    mine: set[str] = set()

    def noting_mine(prove: Callable[[Path, str], AbstractContextManager[None]]) -> Any:
        def proof_of_life(store: Path, owner: str) -> AbstractContextManager[None]:
            mine.add(owner)
            return prove(store, owner)

        return proof_of_life

    def lying(is_alive: Callable[..., bool]) -> Any:
        return lambda store, owner, *process: (
            is_alive(store, owner, *process) and (owner in mine or random.random() > LIES)
        )

    _wrap(liveness, "proof_of_life", noting_mine)
    _wrap(liveness, "is_alive", lying)
