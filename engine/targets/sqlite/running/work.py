"""What the function of a method gets: the step, its connection, and how it waits for locks."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from engine.domain.errors import TargetRefusedError
from engine.domain.steps import WAITING, WaitsFor
from engine.system import wal_checkpoint
from engine.system.wal_checkpoint import LONG_LOG
from engine.targets.database_files import file_size
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.connection.target_lock import TargetLock
from engine.targets.sqlite.planning import preflight
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.renumbering import find_renumbering
from engine.targets.sqlite.running.check_findings import Findings
from engine.targets.sqlite.running.layout import Layout
from engine.targets.sqlite.running.lost_rows import COUNTING, require_no_lost_rows
from engine.targets.sqlite.running.sampling import progress_reports
from engine.targets.sqlite.system.blockers import BlockerFinder
from engine.targets.sqlite.system.old_backups import NewBackup
from engine.targets.sqlite.system.opened_file import OpenedFile
from engine.targets.sqlite.system.page_cache import descriptors_of
from engine.targets.sqlite.system.unfinished_backup import UnfinishedCopy
from engine.targets.step_execution import StepContext, StepProgress

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Work:
    """A running step. Its function sets the fields that have a default."""

    connection: MeteredConnection
    opened: OpenedFile
    step: SqliteStep
    context: StepContext
    lock: TargetLock
    blockers: BlockerFinder
    lock_timeout: float
    layout: Layout
    findings: Findings | None = None
    """The result of a check."""
    copy: UnfinishedCopy | None = None
    """The copy of a backup, before its check."""
    as_copied: MeteredConnection | None = None
    """Reads the state of the database that was copied, until both are compared."""
    contents: str = ""
    """The hash of the copied contents, once they are compared."""
    new_backup: NewBackup | None = None
    """The backup, once it has its name."""
    copy_begun: bool = False
    """Whether a copy exists, or existed: of this step or of an earlier one."""
    schema_version: int | None = None
    """The schema version before VACUUM; None where VACUUM did not start."""
    partial_effect: str = ""
    """What stays done if the step ends now, as text."""
    has_begun: bool = False
    """Whether it has waited for its first lock: whatever it waits for now, it is in the midst of its work."""
    found_damage: bool = False
    """Whether the step found the file damaged without raising an error."""

    @property
    def path(self) -> str:
        return self.opened.path

    @property
    def file(self) -> int | None:
        """A descriptor of the database; None if unknown."""
        return next(iter(descriptors_of(self.opened.numbers)), None)

    @property
    def cancel(self) -> asyncio.Event:
        return self.context.cancel

    @property
    def lock_wait(self) -> statement.LockWait:
        """How its statements wait for locks."""
        return statement.LockWait(self.lock_timeout, self.cancel, self.report_blockers)

    @property
    def _lock_wait_to_begin(self) -> statement.LockWait:
        """The same; before it has begun, the end of the window ends the wait, too."""
        return self.lock_wait if self.has_begun else replace(self.lock_wait, closed=self.context.window.closed)

    def begin(self) -> statement.LockWait:
        """How it waits for its next lock, with which it has begun."""
        wait, self.has_begun = self._lock_wait_to_begin, True
        return wait

    def progress_reports(self, step: SqliteStep | None = None) -> AbstractAsyncContextManager[None]:
        """Report the progress of the step while inside. `step`: the same with another volume."""
        step = step or self.step
        return progress_reports(self.connection, self.path, step, self.context, is_wal=step.is_wal)

    async def rows(self, sql: str) -> list[Any]:
        return await statement.fetch_all(self.connection.aio, sql, self.cancel)

    async def rows_when_free(self, sql: str) -> list[Any]:
        """All rows of `sql`, retried while it is locked: it must take its locks before it does any work."""
        return await statement.retry_while_locked(lambda: self.rows(sql), self.begin())

    async def run_when_free(self, reading: Callable[[sqlite3.Connection], T]) -> T:
        """What `reading` returns in the thread of the connection, like `rows_when_free`."""
        return await statement.retry_while_locked(
            lambda: statement.run_by(self.connection.aio, reading, self.cancel), self.begin()
        )

    async def rows_uninterrupted(self, sql: str) -> list[Any]:
        """Rows of a short statement, like `rows_when_free`; a cancel waits for its end, so that its result is known."""
        return await statement.read(self.connection.aio, sql, self._lock_wait_to_begin)

    async def require_no_lost_rows(self) -> None:
        """Raises LostRowsError where the step would remove the last trace of lost rows."""
        self.context.report(StepProgress(phase=COUNTING))
        require = partial(require_no_lost_rows, step=self.step, file=self.file)

        async def attempt() -> None:
            await statement.run_by(self.connection.aio, require, self.cancel)

        await statement.retry_while_locked(attempt, self._lock_wait_to_begin)

    async def run_vacuum(self) -> list[Any]:
        """Run `checked_vacuum`, again and again while the database is locked."""
        return await self.retry_exclusive(self.checked_vacuum)

    async def retry_exclusive(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `attempt`, retried while it is locked: it must take its exclusive lock before any work."""
        return await statement.retry_exclusive(self.connection.aio, attempt, self.begin())

    async def checked_vacuum(self) -> list[Any]:
        """Run the VACUUM of the step, after one more preflight: the schema may have changed since the plan.

        Raises TargetRefusedError where something would be lost.
        """
        names, schema_version, may_renumber = await statement.run_by(self.connection.aio, _before_vacuum, self.cancel)
        lost = preflight.lossy_schema(names)
        if lost is not None:
            raise TargetRefusedError(self.path, lost.refusal)
        if may_renumber and self.step.method in {Method.VACUUM, Method.SWAP} and not self.step.may_renumber:
            used = preflight.rowids_in_use(await find_renumbering(self.connection.aio, self.rows))
            if used is not None:
                raise TargetRefusedError(self.path, used)
        self.schema_version = schema_version
        return await self.rows(self.step.command)

    async def in_transaction(self, *commands: str) -> None:
        await statement.in_transaction(self.connection.aio, commands, self.begin())
        await self.write_back_if_long()

    async def write_back(self) -> Row:
        """Write the whole log back, retried while it is locked."""
        return await write_back(self.connection, self._lock_wait_to_begin)

    async def write_back_if_long(self) -> None:
        """What has to follow each large commit."""
        if self.step.is_wal:
            await write_back_if_long(self.connection, self.path)

    async def write_full_text(self, command: str) -> None:
        """Write to the full-text index of the step, after one more preflight, as `checked_vacuum` does.

        Raises TargetRefusedError.
        """

        def require(connection: sqlite3.Connection) -> None:
            for (table,) in connection.execute(catalog.unsafe_table(self.step.object)).fetchall():
                raise TargetRefusedError(self.path, preflight.unsafe_full_text(self.step.object, table))

        await statement.in_transaction(self.connection.aio, (command,), self.begin(), require)
        await self.write_back_if_long()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        async with statement.transaction(self.connection.aio, self.begin()):
            yield
        await self.write_back_if_long()

    async def report_blockers(self) -> None:
        """Report that the step waits for a lock, and who holds it."""
        holders = await self.blockers.describe(wal=runs_beside_readers(self.step))
        who = holders or "another connection uses the database"
        self.context.report(StepProgress(phase=f"{WAITING}: {who}", waits_for=WaitsFor.LOCK))


def _before_vacuum(connection: sqlite3.Connection) -> tuple[list[str], int, bool]:
    """What VACUUM would lose, the version of the schema, and whether there are tables whose rows it may renumber."""
    lost = [name for (name,) in connection.execute(query("lost_by_vacuum"))]
    ((version,),) = connection.execute("PRAGMA main.schema_version")
    queries = catalog.renumbered_by_vacuum((), into=False), query("may_have_ignored_desc")
    return lost, version, any(connection.execute(query).fetchone() for query in queries)


def runs_beside_readers(step: SqliteStep) -> bool:
    """Whether the step never waits for a connection that only reads."""
    return step.is_wal and step.method is not Method.CHECKPOINT


Row = tuple[int, int, int]
"""See `wal_checkpoint.checkpoint`."""


async def write_back(connection: MeteredConnection, wait: statement.LockWait) -> Row:
    """Write the whole log back, and truncate it. Raises sqlite3.Error."""
    do = _beside_a_reader(connection, wal_checkpoint.write_back)
    return await statement.retry_while_locked(lambda: statement.run_by(connection.aio, do, wait.cancel), wait)


async def write_back_if_long(connection: MeteredConnection, path: str) -> None:
    """After a commit: as SQLite does by itself, unless it is told not to."""
    if file_size(f"{path}-wal") >= LONG_LOG:
        with suppress(sqlite3.Error):  # the commit stands; a later checkpoint says what is wrong
            await statement.at_once(connection.aio, _beside_a_reader(connection, _passive))


def _passive(connection: sqlite3.Connection, reader: sqlite3.Connection) -> Row:
    return wal_checkpoint.checkpoint(connection, reader, "PASSIVE")


def _beside_a_reader(
    connection: MeteredConnection, do: Callable[[sqlite3.Connection, sqlite3.Connection], Row]
) -> Callable[[sqlite3.Connection], Row]:
    def run(own: sqlite3.Connection) -> Row:
        with closing(statement.opened(connection.uri)) as reader:
            return do(own, reader)

    return run
