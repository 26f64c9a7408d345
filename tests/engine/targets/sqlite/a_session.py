"""Operations on real files, planned and executed as a worker does it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiosqlite

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.sqlite.connection.metered import MeteredConnection, OpenDatabase
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.connection.statement import LockWait
from engine.targets.sqlite.planning.copy_costs import Content, vacuum
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.session import SqliteSession
from engine.targets.sqlite.system.blockers import BlockerFinder
from engine.targets.sqlite.system.opened_file import OpenedFile
from engine.targets.step_execution import StepContext, StepResult
from tests.engine.targets.stepwise import Stepwise, stepwise

ENDLESS: Final = SqliteStep(
    method=Method.TRANSACTION,
    object="main",
    command="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    reason="",
    lock=NO_LOCK,
)


def endless(method: Method, command: str = ENDLESS.command) -> SqliteStep:
    """A step that goes on until it is stopped."""
    course = vacuum(Content.usual(1), in_memory=False).course if method is Method.VACUUM else ()
    return replace(ENDLESS, method=method, command=command, course=course)


@asynccontextmanager
async def connected(path: Path, lock_timeout: float = 1) -> AsyncIterator[tuple[Stepwise, aiosqlite.Connection]]:
    """A session, with the connection that it has of its own."""
    async with metered(path, lock_timeout) as (session, connection):
        yield session, connection.aio


@asynccontextmanager
async def metered(path: Path, lock_timeout: float = 1) -> AsyncIterator[tuple[Stepwise, MeteredConnection]]:
    """The same, with the count of its opcodes."""
    file = OpenedFile(str(path))
    connection = await MeteredConnection.open(connection_uri(str(path)), LockWait(lock_timeout), file)
    session = SqliteSession(OpenDatabase(connection, file, lock_timeout, BlockerFinder(str(path))))
    try:
        yield Stepwise(session), connection
    finally:
        await session.close()
        await connection.close()


async def plan(path: Path, operation: Operation, **options: Any) -> OperationPlan:
    async with resolve(str(path)).connect(lock_timeout=1, writing=False) as session:
        return (await session.plan(operation, Options(**options))).plan


async def run(path: Path, operation: Operation, lock_timeout: float = 5, **options: Any) -> dict[str, StepResult]:
    """Plan and execute, step by step; the results by command."""
    target = resolve(str(path))
    connecting = target.connect(lock_timeout=lock_timeout, writing=target.operations[operation].writes)
    async with stepwise(connecting) as session:
        planned = await session.plan(operation, Options(lock_timeout=lock_timeout, **options))
        assert (planned.refused, planned.not_needed) == (None, None)
        return {step.command: await session.execute(step, StepContext()) for step in planned.steps}


async def execute(session: Stepwise, step: PlannedStep, cancel: asyncio.Event | None = None) -> StepResult:
    return await session.execute(step, StepContext(cancel=cancel or asyncio.Event()))


def statuses(results: dict[str, StepResult]) -> set[Status]:
    return {result.status for result in results.values()}


async def when_running(
    connection: aiosqlite.Connection, do: Callable[[], object], commands: Collection[str] = (ENDLESS.command,)
) -> None:
    """Call `do` in the event loop as soon as one of `commands` really runs; hold it up until then. Once."""
    loop, done, begun = asyncio.get_running_loop(), threading.Event(), threading.Event()

    def note(sql: str) -> None:
        if sql in commands:
            begun.set()

    def tick() -> int:
        if begun.is_set() and not done.is_set():
            loop.call_soon_threadsafe(do)
            loop.call_soon_threadsafe(done.set)
            done.wait()
        return 0

    await connection.set_trace_callback(note)
    await connection.set_progress_handler(tick, 1)


def commands_of(step: PlannedStep) -> tuple[str, ...]:
    """The statements that a step may begin with: a merge has several."""
    return (step.command, step.command.partition("); ")[0] + ")")
