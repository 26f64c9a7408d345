"""Copies a database, and compares the copy with the state that was copied, while others go on writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from functools import partial
from typing import Any, Final

from engine.domain.humanize import listed
from engine.domain.statuses import Status
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import is_denied, sqlite_error
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.connection.same_snapshot import SameSnapshot, begin_reading
from engine.targets.sqlite.reading.contents import Contents, contents_of
from engine.targets.sqlite.running.sampling import progress_reports
from engine.targets.sqlite.running.work import Work
from engine.targets.sqlite.system.unfinished_backup import copy_in
from engine.targets.step_execution import StepResult

_PAGES_AT_ONCE: Final = 1_000
"""Between them a cancel is noticed."""


async def copy_with_reader(work: Work) -> None:
    """Copy the database, and keep a connection that reads the state that was copied."""
    wait = work.lock_wait
    async with AsyncExitStack() as stack:
        reader = await MeteredConnection.open(work.connection.uri, wait, check_same_thread=False)
        stack.push_async_callback(reader.close)
        watcher = await MeteredConnection.open(work.connection.uri, wait, counts=False, check_same_thread=False)
        try:
            work.opened.require()
            await _copy_same_snapshot(
                work, SameSnapshot(await _raw_connection(reader, wait), await _raw_connection(watcher, wait))
            )
        finally:
            await watcher.close()
        stack.pop_all()
    work.as_copied = reader


async def copy_pages(work: Work) -> None:
    """Copy each page of one state, as SQLite's backup does: nothing is computed, so that no code of the application is
    missing, and no rowid changes. Where the copy is compared, the connection that reads this state is kept."""
    wait = work.lock_wait
    async with AsyncExitStack() as stack:
        reader = await MeteredConnection.open(work.connection.uri, wait, check_same_thread=False)
        stack.push_async_callback(reader.close)
        work.opened.require()
        await statement.read_by(reader.aio, begin_reading, wait)
        source = await _raw_connection(reader, wait)
        # In the thread whose work is reported as progress.
        copying = partial(_copy_pages, source, connection_uri(copy_in(work.step.unfinished)), work.cancel.is_set)
        await statement.run_by(work.connection.aio, lambda _: copying(), work.cancel)
        if work.step.compared:
            stack.pop_all()
            work.as_copied = reader


def _copy_pages(source: sqlite3.Connection, copy_uri: str, is_cancelled: Callable[[], bool]) -> None:
    def stop_if_cancelled(*_: int) -> None:
        if is_cancelled():
            raise sqlite_error(sqlite3.SQLITE_INTERRUPT, "SQLITE_INTERRUPT", "interrupted")

    with closing(sqlite3.connect(copy_uri, uri=True, isolation_level=None)) as copy:
        source.backup(copy, pages=_PAGES_AT_ONCE, progress=stop_if_cancelled)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, also while it is read and named


async def _copy_same_snapshot(work: Work, snapshot: SameSnapshot) -> None:
    connection, wait = work.connection.aio, work.lock_wait

    async def attempt() -> list[Any]:
        try:
            return await work.checked_vacuum()
        except sqlite3.DatabaseError:
            await statement.read_by(connection, lambda _: snapshot.release(), wait)
            if snapshot.error is not None:
                raise snapshot.error from None
            raise

    is_done = False
    await statement.read_by(connection, lambda db: db.set_authorizer(snapshot), wait)
    try:
        # Each attempt waits only for a moment: outside WAL mode a writer may have to wait for the reader.
        await statement.retry_while_locked(attempt, wait)
        is_done = snapshot.is_certain
    except sqlite3.DatabaseError as error:
        if not is_denied(error):
            raise
    finally:
        await statement.read_by(connection, lambda db: db.set_authorizer(None), wait)
    if not is_done:
        await statement.read_by(connection, lambda _: snapshot.begin(), wait)
        await work.run_vacuum()
        await statement.read_by(connection, lambda _: snapshot.compare(), statement.LockWait(0))


async def _raw_connection(connection: MeteredConnection, wait: statement.LockWait) -> sqlite3.Connection:
    return await statement.read_by(connection.aio, lambda db: db, wait)


async def compare(work: Work) -> StepResult:
    """Compare the copy with the state that was copied. Remove the copy if they differ."""
    copied, reader = work.copy, work.as_copied
    work.copy = work.as_copied = None
    work.copy_begun = copied is not None
    if copied is None or reader is None:
        return StepResult(status=Status.SKIPPED, error="there is no copy to compare")
    try:
        copied.require()
        uri = connection_uri(copied.path, writing=False)
        copy = await MeteredConnection.open(uri, statement.LockWait(work.lock_timeout, work.cancel))
        try:
            async with progress_reports(reader, work.path, work.step, work.context, is_wal=False, also=copy):
                expected = await _contents(reader, work)
                await statement.short(reader.aio, "ROLLBACK")  # others may write again
                found = await _contents(copy, work)
        finally:
            await copy.close()
        if different := expected.differences(found):
            error = f"the copy differs from the database ({listed(different)}), and is removed"
            return StepResult(status=Status.FAILED, error=error)
        work.copy, work.contents = copied, "" if expected.unreadable else expected.hash
    except OSError as error:
        return StepResult(status=Status.FAILED, error=f"cannot read the copy: {error.strerror or error}")
    finally:
        await reader.close()
        if work.copy is None:
            copied.discard()
    return StepResult(status=Status.COMPLETED, effect={"backup_contents": expected.hash}, warnings=expected.warnings)


async def _contents(connection: MeteredConnection, work: Work) -> Contents:
    reading = partial(contents_of, is_cancelled=work.cancel.is_set)
    return await statement.run_by(connection.aio, reading, work.cancel)
