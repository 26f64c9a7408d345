"""What carries out a step is given: the step, what it runs on, and how it waits for others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from engine.domain.errors import TargetRefusedError
from engine.domain.jobs import WAITING, WaitsFor
from engine.targets.protocol import StepContext, StepProgress
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.planning import preflight
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.renumbering import find_renumbering
from engine.targets.sqlite.running.checking import Findings
from engine.targets.sqlite.system.blockers import BlockerFinder
from engine.targets.sqlite.system.opened_file import OpenedFile
from engine.targets.sqlite.system.unfinished_backup import UnfinishedCopy

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Work:
    """A step in the making: what it runs on, and what it leaves for the look afterwards."""

    connection: MeteredConnection
    opened: OpenedFile
    step: SqliteStep
    context: StepContext
    others: BlockerFinder
    lock_timeout: float
    is_wal: bool
    found: Findings | None = None
    """What a check has found."""
    copy: UnfinishedCopy | None = None
    """What a backup has made and not yet checked."""
    began_copy: bool = False
    """Whether there was one, made in this step or before."""
    schema_version: int | None = None
    """That of the database as VACUUM began; None where it did not get that far."""
    done: str = ""
    """What of it is done for good, in words: of a step that gets on bit by bit."""
    damaged: bool = False
    """Whether it has found the file damaged, though it raises nothing."""

    @property
    def path(self) -> str:
        return self.opened.path

    @property
    def cancel(self) -> asyncio.Event:
        return self.context.cancel

    async def rows(self, sql: str) -> list[Any]:
        return await statement.fetch_all(self.connection.aio, sql, self.cancel)

    async def rows_when_free(self, sql: str) -> list[Any]:
        """All rows of `sql`, which takes its locks before it does any work: so it can be tried again."""
        return await statement.retry_while_locked(
            lambda: self.rows(sql), self.lock_timeout, self.cancel, self.tell_who_waits
        )

    async def rows_in_a_moment(self, sql: str) -> list[Any]:
        """As `rows_when_free`; once it runs a cancel waits for it, so that what was done before can be told."""
        return await statement.retry_while_locked(
            lambda: statement.short(self.connection.aio, sql), self.lock_timeout, self.cancel, self.tell_who_waits
        )

    async def rows_of_whole_copy(self) -> list[Any]:
        """As `rows_when_free`, of the VACUUM that is the step; others may have changed the schema since its plan.

        Raises TargetRefusedError where something would be lost.
        """
        return await self.retry_exclusive(self._copied_whole)

    async def retry_exclusive(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `attempt`, which needs the file for itself before it does any work."""
        return await statement.retry_exclusive(
            self.connection.aio, attempt, self.lock_timeout, self.cancel, self.tell_who_waits
        )

    async def _copied_whole(self) -> list[Any]:
        lost = preflight.lossy_schema([name for (name,) in await self.rows(catalog.LOST_BY_VACUUM)])
        if lost is not None:
            raise TargetRefusedError(self.path, lost)
        if self.step.method is Method.VACUUM and not self.step.may_renumber:
            used = preflight.rowids_in_use(await find_renumbering(self.connection.aio, self.rows))
            if used is not None:
                raise TargetRefusedError(self.path, used)
        ((self.schema_version,),) = await self.rows("PRAGMA main.schema_version")
        return await self.rows(self.step.command)

    async def in_transaction(self, sql: str) -> None:
        await statement.in_transaction(self.connection.aio, sql, self.lock_timeout, self.cancel, self.tell_who_waits)

    async def all_in_transaction(self, commands: Sequence[str]) -> None:
        await statement.all_in_transaction(
            self.connection.aio, commands, self.lock_timeout, self.cancel, self.tell_who_waits
        )

    def transaction(self) -> AbstractAsyncContextManager[None]:
        return statement.transaction(self.connection.aio, self.lock_timeout, self.cancel, self.tell_who_waits)

    async def tell_who_waits(self) -> None:
        others = await self.others.look(wal=readers_are_welcome(self.step, is_wal=self.is_wal))
        who = others or "another connection uses the database"
        self.context.report(StepProgress(phase=f"{WAITING}: {who}", waits_for=WaitsFor.LOCK))


def readers_are_welcome(step: SqliteStep, *, is_wal: bool) -> bool:
    """Whether a step has to wait for nobody who only reads."""
    return is_wal and step.method is not Method.CHECKPOINT
