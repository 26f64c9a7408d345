"""The one thread that writes: whole transactions, committed in groups.

A transaction is a plain function of a connection. It runs whole or not at all, whatever happens to the
task that awaits it, and no two of them ever mix: that is what composing them from awaits cannot give.
"""

from __future__ import annotations

import asyncio
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from engine.domain.errors import StoreBusyError, StoreError, StoreFullError, StoreUncertainError
from engine.system.wal_checkpoint import LONG_LOG, checkpoint

T = TypeVar("T")
Transaction = Callable[[sqlite3.Connection], T]
_Job = tuple[Transaction[Any], "asyncio.Future[Any]", bool]
_Result = tuple[Any, Exception | None]

GROUP_LIMIT = 256
BUSY_TIMEOUT = 10.0
"""Seconds to wait for other processes' transactions before giving up."""
FIRST_PAUSE = 0.0008
"""Seconds until the store is tried again at most: most transactions of others take as long."""
LONGEST_PAUSE = 0.003
BREATH = 0.0005
"""Seconds between two commits while more is waiting: without it, other processes starve for seconds."""


class Writer:
    """Runs transactions on a thread of its own, on a connection of its own."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        check: Callable[[], None] = lambda: None,
        checkpoints: LogCheckpoints | None = None,
    ) -> None:
        """`check`: raises if nothing may be written; called before and after each commit. `checkpoints`: follow each
        commit; None where SQLite makes them."""
        self._checkpoints = checkpoints
        self._check = check
        self.on_commit: Callable[[], None] = lambda: None
        """Called on the event loop after each commit that changed something."""
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="dbtend-writer", daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._level = ""
        """The `synchronous` of the connection; "": not known."""
        self._committed_at = 0.0

    async def open(self) -> None:
        """Start the thread. Raises what `connect` raises."""
        self._thread.start()
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self._jobs.put(None)  # it may wait for a lock: it ends after that
            raise

    async def close(self) -> None:
        """Finish the queue, close the connection, end the thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def run(self, transaction: Transaction[T], *, synced: bool = True) -> asyncio.Future[T]:
        """Queue a transaction. Those queued together are committed together, in order.

        `synced`: a power failure must not undo it; else it waits for no disk, and the next one that is synced syncs it.
        Awaiting the future returns the result of the function, or raises its exception (then nothing was written), or
        StoreError if the store could not be written.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((transaction, future, synced))
        return future

    def _work(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:
            with suppress(RuntimeError):  # the loop is closed: no one waits for it
                self._loop.call_soon_threadsafe(self._opened.set_exception, error)
            return
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._opened.set_result, None)
        while (group := self._next_group()) is not None:
            self._commit(connection, group)
            if self._checkpoints is not None:
                self._checkpoints.after_commit(connection)
            if not self._jobs.empty() and (rest := self._committed_at + BREATH - time.monotonic()) > 0:
                time.sleep(rest)
        if self._checkpoints is not None:
            self._checkpoints.close()
        connection.close()

    def _next_group(self) -> list[_Job] | None:
        """All queued jobs, waiting for the first; None when the writer is to end."""
        first = self._jobs.get()
        if first is None:
            return None
        group = [first]
        while len(group) < GROUP_LIMIT and not self._jobs.empty():
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)  # the end comes after this group
                break
            group.append(job)
        return group

    def _commit(self, connection: sqlite3.Connection, group: list[_Job]) -> None:
        before = connection.total_changes
        level = "FULL" if any(synced for _, _, synced in group) else "NORMAL"

        def begin() -> None:
            self._check()
            if level != self._level:
                self._level = ""
                connection.execute(f"PRAGMA synchronous = {level}")
                self._level = level
            begin_immediate(connection)

        results = _run_together(connection, [transaction for transaction, _, _ in group], begin, self._check)
        self._committed_at = time.monotonic()
        changed = connection.total_changes != before
        futures = [future for _, future, _ in group]
        self._loop.call_soon_threadsafe(self._deliver, list(zip(futures, results, strict=True)), changed)

    def _deliver(self, results: list[tuple[asyncio.Future[Any], _Result]], changed: bool) -> None:
        for future, (value, error) in results:
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
        if changed:
            self.on_commit()


def _run_together(
    connection: sqlite3.Connection,
    transactions: list[Transaction[Any]],
    begin: Callable[[], None],
    check: Callable[[], None],
) -> list[_Result]:
    """Run them in one commit; if one fails, which is rare, each in its own commit.

    A savepoint around each would avoid the second run, but costs more than the transaction itself.
    """
    is_undone, committing = True, False
    try:
        begin()
        values = [transaction(connection) for transaction in transactions]
        committing = True
        connection.execute("COMMIT")
        committing = False
        check()
    except Exception as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if committing:
            is_undone = _lacks_commit_record(error) or _undo_commit(connection)
        if len(transactions) == 1 or not is_undone:
            return [(None, _as_store_error(error, is_undone=is_undone))] * len(transactions)
    else:
        return [(value, None) for value in values]
    return [result for transaction in transactions for result in _run_together(connection, [transaction], begin, check)]


def _lacks_commit_record(error: Exception) -> bool:
    """Whether the log lacks the commit record of a failed COMMIT: so if a write found the disk full."""
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL


def _undo_commit(connection: sqlite3.Connection) -> bool:
    """Ensure that a failed COMMIT stays undone; whether that succeeded.

    All of it may be in the log without counting as committed: a process that recovers the log later would take it for
    committed. The next commit overwrites it, so this makes one at once that changes nothing. It does not sync, because
    the disk may be what failed.
    """
    try:
        connection.execute("PRAGMA synchronous = OFF")
        begin_immediate(connection)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return False
    finally:
        connection.execute("PRAGMA synchronous = FULL")
    return True


def begin_immediate(connection: sqlite3.Connection, timeout: float | None = None) -> None:
    """BEGIN IMMEDIATE with its own retries: a busy process starves SQLite's busy handler."""
    retry_while_busy(lambda: connection.execute("BEGIN IMMEDIATE"), timeout)


def retry_while_busy(attempt: Callable[[], object], timeout: float | None) -> None:
    """Call `attempt` until SQLite no longer answers BUSY, for so many seconds at most; None: BUSY_TIMEOUT."""
    give_up = time.monotonic() + (BUSY_TIMEOUT if timeout is None else timeout)
    pause = FIRST_PAUSE
    while True:
        try:
            attempt()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
        time.sleep(pause * random.uniform(0.2, 1.0))  # noqa: S311 - jitter, not a secret
        pause = min(2 * pause, LONGEST_PAUSE)


def _as_store_error(error: Exception, *, is_undone: bool) -> Exception:
    """The StoreError of a failed write; other exceptions are the transaction's own."""
    if isinstance(error, UnicodeDecodeError | MemoryError):
        why = "is damaged: it holds text that is not UTF-8, or a row of no sensible size"
        return StoreError("the store of jobs", why, "move it away to start a new one, or restore it from a backup")
    if not isinstance(error, sqlite3.Error):
        return error
    if not is_undone:
        why = f"its disk is full, or fails: {error}; this may or may not be written"
        return StoreUncertainError("the store of jobs", why, "see to its disk, then look at `dbtend history`")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return StoreBusyError(
            "the store of jobs",
            f"another process has kept it locked for {BUSY_TIMEOUT:.0f} s",
            "end that process, or try again",
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError("the store of jobs", "the disk is full", "make room on its file system")
    if code == sqlite3.SQLITE_IOERR:
        why = f"its disk is full, or fails: {error}"
        return StoreFullError("the store of jobs", why, "make room on its file system")
    if code == sqlite3.SQLITE_READONLY:
        return StoreError("the store of jobs", "is read-only", "check its permissions, or give another --store")
    return StoreError("the store of jobs", f"cannot be written: {error}", "run `dbtend doctor`")


COMMITS_BETWEEN = 100
"""A commit takes some ten pages of the log, and SQLite would write it back each thousand."""


class LogCheckpoints:
    """What follows the commits of one process, in the thread that makes them."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        """`connect`: a connection that only reads."""
        self._log = Path(f"{path}-wal")
        self._connect = connect
        self._reader: sqlite3.Connection | None = None
        self._commits_left = 0  # a short-lived process must also write back what earlier ones left

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Write the log back if it is long, and if that was not done lately: the file does not tell how much of it is
        in use."""
        self._commits_left -= 1
        if self._commits_left >= 0:
            return
        with suppress(OSError, sqlite3.Error, StoreError):  # the commit stands, and a later one tries again
            if self._log.stat().st_size < LONG_LOG:
                return
            self._commits_left = COMMITS_BETWEEN
            self._reader = self._reader or self._connect()
            checkpoint(connection, self._reader, "PASSIVE")

    def close(self) -> None:
        """Call this before the connection of the commits is closed."""
        if self._reader is not None:
            self._reader.close()
