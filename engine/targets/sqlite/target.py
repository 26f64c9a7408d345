"""A SQLite file as a target."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final

from engine.domain.engines import EngineName
from engine.domain.errors import HotJournalError, TargetDamagedError, TargetRefusedError, TargetUnavailableError
from engine.domain.frozen import frozen
from engine.domain.lazy_import import lazy
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.system.background import wait_uncancelled
from engine.system.wal_checkpoint import removing_wal_files
from engine.targets import database_files
from engine.targets.file_target import FileTarget
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain, is_nothing_beside, needs_rollback, opening_error
from engine.targets.sqlite.connection.metered import MeteredConnection, OpenDatabase
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.inspection import SqliteInspection
from engine.targets.sqlite.planning import operation_specs
from engine.targets.sqlite.system import files, hot_journal
from engine.targets.sqlite.system.birth_time import birth_time
from engine.targets.sqlite.system.blockers import BlockerFinder
from engine.targets.sqlite.system.opened_file import OpenedFile, file_key
from engine.targets.target import JournalCheck, Waiting
from engine.targets.waits import OthersLookup, no_others

if TYPE_CHECKING:
    from engine.targets.sqlite import session
    from engine.targets.sqlite.session import SqliteSession
else:
    session = lazy("engine.targets.sqlite.session", "it imports all of planning and running")


_BY_ITS_OWNER: Final = "run dbtend as the owner of the database: others can change its directory"


@frozen(kw_only=True)
class _BeforeOpening:
    """The state of a file before it is opened."""

    may_write: bool
    """Whether it is opened for writing."""
    exposed: bool
    """Whether others may plant a journal."""
    has_journal: bool
    """Whether something is in a journal or a log beside it,"""
    unattended_journal: bool
    """and whether that is a journal that no one uses."""
    file: OpenedFile


class SqliteTarget(FileTarget):
    """The database file at `path`, which does not have to exist."""

    engine = EngineName.SQLITE
    scheme = "sqlite"
    operations = operation_specs.SPECS
    default_operations = operation_specs.DEFAULT_OPERATIONS

    @property
    def key(self) -> str:
        status = database_files.status_of(self.path)
        return file_key(status.st_dev, status.st_ino)

    def fingerprint(self) -> str:
        files.check_readable(self.path)
        return self.key

    def state(self) -> str:
        return files.state_of(self.path)

    async def identify(self) -> str:
        return await asyncio.to_thread(lambda: self.key)

    async def identify_for_damage(self) -> str:
        def identify() -> str:
            made = birth_time(self.path)
            return f"{self.key}:{made or 0:x}"

        return await asyncio.to_thread(identify)

    async def goes_in_turns(self, operation: Operation, options: Options) -> bool:
        if operation is Operation.CHECK and not options.objects and options.jobs is None:
            size = await asyncio.to_thread(lambda: database_files.file_size(self.path))
            return size >= operation_specs.CHECKED_IN_PARTS
        return operation_specs.SPECS[operation].in_turns

    @asynccontextmanager
    async def connect(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        planning: bool = False,
        read_only: bool = False,
        name: str = "",
        waiting: Waiting | None = None,
        server_wait: float = 0.0,  # there is none
        others_work: OthersLookup = no_others,
        journal_check: JournalCheck | None = None,
    ) -> AsyncIterator[SqliteSession]:
        opening = self._opened(
            lock_timeout,
            waiting,
            writes=writing,
            writing=writing and not planning,
            read_only=read_only,
            journal_check=journal_check,
        )
        async with (
            opening as database,
            AsyncExitStack() as stack,
        ):
            make = partial(session.SqliteSession, database)
            opened_session = make() if database.connection.takes_locks else await asyncio.to_thread(make)
            stack.push_async_callback(opened_session.close)
            yield opened_session

    @asynccontextmanager
    async def look(
        self, *, lock_timeout: float, read_only: bool = False, recover: bool = False
    ) -> AsyncIterator[SqliteInspection]:
        async with self._opened(lock_timeout, read_only=read_only or not recover, counts=False) as database:
            yield SqliteInspection(database)

    @asynccontextmanager
    async def _opened(
        self,
        lock_timeout: float,
        waiting: Waiting | None = None,
        *,
        writes: bool = False,
        writing: bool = False,
        read_only: bool,
        counts: bool = True,
        journal_check: JournalCheck | None = None,
    ) -> AsyncIterator[OpenDatabase]:
        """`writes`: see `_check`."""
        seen = await asyncio.to_thread(self._before_opening, writes=writes, writing=writing, read_only=read_only)
        if journal_check is not None and seen.has_journal:
            await journal_check()
        writing, exposed = seen.may_write, seen.exposed
        blockers = BlockerFinder(self.path, waiting)
        async with nullcontext() if writing or exposed else _leaving_no_traces(self.path):
            try:
                connection = await self._open(lock_timeout, blockers, seen.file, writing=writing, counts=counts)
            except sqlite3.Error as error:
                if needs_rollback(error):
                    await asyncio.to_thread(hot_journal.require_harmless, self.path)
                    if exposed:
                        raise HotJournalError(self.path, explain(error, lock_timeout), _BY_ITS_OWNER) from error
                failure = opening_error(self.path, error, lock_timeout, await blockers.describe_last())
                raise await asyncio.to_thread(database_files.naming_engine, failure, self.engine) from error
            try:
                rolled_back = (
                    writing and seen.unattended_journal and await asyncio.to_thread(hot_journal.is_gone, self.path)
                )
                yield OpenDatabase(connection, seen.file, lock_timeout, blockers, rolled_back)
            finally:
                await connection.close()

    def _before_opening(self, *, writes: bool, writing: bool, read_only: bool) -> _BeforeOpening:
        """Raises TargetError."""
        self._check(writing=writes)
        exposed = hot_journal.others_may_plant_one(self.path)
        # Write access even for a plan or a check, if possible: an earlier crash may have to be rolled back first. Not
        # if closing would write a log back, and not if other users could use the rollback to have a file removed.
        if not (writing or read_only):
            may_be_written = writes or files.may_be_written(self.path)
            writing = may_be_written and not files.has_log(self.path) and not exposed
        seen = _BeforeOpening(
            may_write=writing and not read_only,
            exposed=exposed,
            has_journal=files.has_journal(self.path),
            unattended_journal=hot_journal.is_unattended(self.path),
            file=OpenedFile(self.path),
        )
        if seen.may_write:
            hot_journal.require_harmless(self.path)
        return seen

    def _check(self, *, writing: bool) -> None:
        """Raises TargetError."""
        files.check_readable(self.path)
        if not writing:
            return
        try:
            files.check_writable(self.path)
        except TargetRefusedError as error:
            alone = " and ".join(operation for operation, spec in self.operations.items() if not spec.writes)
            raise TargetRefusedError(error.what, error.why, f"{error.hint}; without it only {alone} can run") from None

    async def _open(
        self, lock_timeout: float, blockers: BlockerFinder, file: OpenedFile, *, writing: bool, counts: bool
    ) -> MeteredConnection:
        wait = statement.LockWait(lock_timeout, waiting=blockers.describe)
        uri = connection_uri(self.path, writing=writing)
        try:
            return await MeteredConnection.open(uri, wait, file, counts=counts)
        except sqlite3.Error as error:
            if writing or not is_nothing_beside(error):
                raise
            if await asyncio.to_thread(database_files.may_be_written_beside, self.path):
                raise
        if await asyncio.to_thread(database_files.file_size, self.path + "-wal"):
            why = "its write-ahead log cannot be read: its directory is not writable"
            raise TargetUnavailableError(self.path, why, "open it once where its directory can be written")
        uri = connection_uri(self.path, writing=False, immutable=True)
        return await MeteredConnection.open(uri, statement.LockWait(lock_timeout), file, counts=counts)

    async def preflight(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        operations: Sequence[Operation] = (),
        options: Options = DEFAULT_OPTIONS,
    ) -> str:
        if not options.objects and (key := await asyncio.to_thread(self.key_at_once, writing=writing)) is not None:
            return key
        try:
            async with self.connect(lock_timeout=lock_timeout, writing=writing, planning=True) as session:
                await session.require(operations, options)
        except TargetDamagedError:
            if writing:
                raise  # what only looks tells of it
        return await self.identify()

    def key_at_once(self, *, writing: bool) -> str | None:
        if not self._job_will_roll_back(writing=writing):  # else that job tells of it in its log
            seen = self._before_opening(writes=writing, writing=False, read_only=False)
            if not statement.opens_at_once(connection_uri(self.path, writing=seen.may_write)):
                return None
        return self.key

    def _job_will_roll_back(self, *, writing: bool) -> bool:
        """Whether an earlier crash left something that a job can roll back."""
        if not hot_journal.is_unattended(self.path) or not files.may_be_written(self.path):
            return False
        hot_journal.require_harmless(self.path)
        return writing or not hot_journal.others_may_plant_one(self.path)


@asynccontextmanager
async def _leaving_no_traces(path: str) -> AsyncIterator[None]:
    """Like `removing_wal_files`, off the event loop: a disk may hang."""
    traces = removing_wal_files(path)
    await asyncio.to_thread(traces.__enter__)
    try:
        yield
    finally:
        leaving = asyncio.to_thread(traces.__exit__, None, None, None)
        await wait_uncancelled(asyncio.ensure_future(leaving))
