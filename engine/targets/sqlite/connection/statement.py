"""Statements that can really be stopped, and connections that leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import field, replace
from typing import Any, Final, TypeVar

import aiosqlite

from engine.domain.frozen import frozen
from engine.system.background import wait_uncancelled
from engine.system.sqlite_threads import OpenedConnection, as_it_is, connected, in_its_thread
from engine.system.wal_checkpoint import NO_AUTOMATIC_CHECKPOINT
from engine.targets.limits import NotBegunError
from engine.targets.sqlite.connection.errors import is_busy, out_of_memory
from engine.targets.waits import first_of

Waiting = Callable[[], Awaitable[object]]


@frozen
class LockWait:
    """How a statement waits for locks."""

    timeout: float
    """Seconds."""
    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends the wait, with SQLITE_BUSY; what it guards is interrupted."""
    waiting: Waiting | None = None
    """Called at each wait."""
    closed: asyncio.Event | None = None
    """For what waits to begin: ends the wait, with NotBegunError."""


T = TypeVar("T")
_explained: Final = itertools.count()
_LOCK_ATTEMPT: Final = 0.1
_LONG_LOCK_ATTEMPT: Final = 1.0
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.1
_DEFENSIVE: Final = getattr(sqlite3, "SQLITE_DBCONFIG_DEFENSIVE", None)
"""None before Python 3.12."""


_FIRST_LOOK: Final = "SELECT count(*) FROM main.sqlite_schema"


def opened(uri: str) -> OpenedConnection:
    """A connection for the thread of the caller, which has read nothing. Raises sqlite3.Error."""
    return OpenedConnection(uri, _set_up, uri=True, isolation_level=None, timeout=_LOCK_ATTEMPT)


def opens_at_once(uri: str) -> bool:
    """Whether a database can be opened and read without a wait. In the thread of the caller."""
    try:
        with contextlib.closing(opened(uri)) as connection:
            connection.execute(_FIRST_LOOK).fetchall()
    except (sqlite3.Error, ValueError, MemoryError):  # as `_errors_of_sqlite`
        return False
    return True


async def open_connection(
    uri: str,
    wait: LockWait,
    prepare: Callable[[sqlite3.Connection], object] = as_it_is,
    **how: Any,
) -> aiosqlite.Connection:
    """A connection that has read the schema, so that opening a file without a database fails here. Raises as `read`.

    `prepare`: called with the new connection, in its thread. `how`: further arguments of `sqlite3.connect`.
    """

    def prepare_and_look(connection: sqlite3.Connection) -> None:
        prepare(connection)
        _read_schema(connection)

    return await retry_while_locked(lambda: connect(uri, prepare_and_look, **how), wait)


async def connect(uri: str, prepare: Callable[[sqlite3.Connection], object], **how: Any) -> aiosqlite.Connection:
    """A connection that has read nothing. The arguments: see `open_connection`. Raises sqlite3.Error."""
    opening = asyncio.ensure_future(_open(uri, prepare, **how))
    try:
        return await wait_uncancelled(opening)
    except asyncio.CancelledError:
        if opening.exception() is None:
            await close(opening.result())
        raise


async def _open(uri: str, prepare: Callable[[sqlite3.Connection], object], **how: Any) -> aiosqlite.Connection:
    def set_up(connection: sqlite3.Connection) -> None:
        _set_up(connection)
        prepare(connection)

    with _errors_of_sqlite():
        return await connected(uri, set_up, timeout=_LOCK_ATTEMPT, **how)


def _set_up(connection: sqlite3.Connection) -> None:
    connection.text_factory = _text
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = OFF")  # a key of the file may delete rows of any table
    connection.execute(NO_AUTOMATIC_CHECKPOINT)
    # With mmap, a process that overwrites the file would crash this one. A step may switch it on.
    if connection.execute("PRAGMA mmap_size = 0").fetchall() not in ([], [(0,)]):
        raise sqlite3.NotSupportedError("the file cannot be read without being mapped into memory")


def _read_schema(connection: sqlite3.Connection) -> None:
    """Read the schema of a file that anybody may have made. Raises sqlite3.Error."""
    if _DEFENSIVE is None or not hasattr(connection, "setconfig"):
        connection.execute(_FIRST_LOOK).fetchall()
        return
    connection.setconfig(_DEFENSIVE, True)
    try:
        connection.execute(_FIRST_LOOK).fetchall()
    except sqlite3.DatabaseError as error:
        if is_busy(error):
            raise
        # A trigger on a table of a module makes SQLite call the whole file malformed. It can be read and copied.
        connection.setconfig(_DEFENSIVE, False)
        connection.execute(_FIRST_LOOK).fetchall()


def _text(raw: bytes) -> str:
    """A name may hold bytes that are no UTF-8."""
    return raw.decode(errors="backslashreplace")


@contextlib.contextmanager
def texts_noted(connection: aiosqlite.Connection, note: Callable[[str], object]) -> Iterator[None]:
    """Passes each text that is read to `note`, at once and from another thread.

    Python looks for the next row before it gives one away, so that the last one before an error is known here only.
    """

    def noting(raw: bytes) -> str:
        text = _text(raw)
        note(text)
        return text

    connection.text_factory = noting
    try:
        yield
    finally:
        connection.text_factory = _text


async def read(connection: aiosqlite.Connection, sql: str, wait: LockWait) -> list[Any]:
    """All rows of `sql`, once no lock is in the way. Cancelling the task ends the wait, too. Raises sqlite3.Error."""
    return await retry_while_locked(lambda: short(connection, sql), wait)


async def read_by(connection: aiosqlite.Connection, look: Callable[[sqlite3.Connection], T], wait: LockWait) -> T:
    """Run `look` like `read`: it runs short statements in the thread of the connection. Returns what it returns."""
    return await retry_while_locked(lambda: at_once(connection, look), wait)


async def at_once(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` returns, which is over in a moment: when the task is cancelled, it is waited for."""
    try:
        return await _in_its_thread(connection, work)
    except asyncio.CancelledError:  # the thread works in order: once it has answered again, the work is over
        with contextlib.suppress(sqlite3.Error):
            await wait_uncancelled(asyncio.ensure_future(_in_its_thread(connection, as_it_is)))
        raise


async def _in_its_thread(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` returns. Raises sqlite3.Error."""
    with _errors_of_sqlite():
        return await in_its_thread(connection, work)


async def short(connection: aiosqlite.Connection, sql: str) -> list[Any]:
    """All rows of a statement that is over in a moment: when the task is cancelled, it is waited for."""
    return await at_once(connection, lambda db: db.execute(sql).fetchall())


def explain(connection: sqlite3.Connection, sql: str) -> sqlite3.Cursor:
    """The rows of EXPLAIN, compiled anew each time. Raises sqlite3.Error.

    Python would keep the statement, and SQLite runs an EXPLAIN without a look whether its schema is still the same: it
    would show freed memory.
    """
    return connection.execute(f"/* {next(_explained)} */ EXPLAIN {sql}")


async def compiled(connection: aiosqlite.Connection, sql: str) -> None:
    """Let SQLite compile `sql`, and not run it. Raises sqlite3.Error."""
    # Its rows are not fetched: there may be a million.
    await at_once(connection, lambda db: explain(db, sql).close())


def error_of(connection: sqlite3.Connection, sql: str) -> sqlite3.Error | None:
    """Why SQLite cannot compile `sql`, which is not run; None if it can. In the thread of the connection.

    Raises sqlite3.Error if the database is locked.
    """
    try:
        with _errors_of_sqlite():
            explain(connection, sql).close()
    except sqlite3.Error as error:
        if is_busy(error):
            raise
        return error.with_traceback(None)
    return None


async def run_all(connection: aiosqlite.Connection, commands: Sequence[str]) -> None:
    """Run short commands, one after the other. Raises sqlite3.Error."""
    await at_once(connection, lambda db: [db.execute(command).fetchall() for command in commands])


async def rows_of(connection: aiosqlite.Connection, sql: str) -> list[Any]:
    """All rows of `sql`. Raises sqlite3.Error."""
    with _errors_of_sqlite():
        return list(await connection.execute_fetchall(sql))


@contextlib.contextmanager
def _errors_of_sqlite() -> Iterator[None]:
    """Raises sqlite3.Error for what Python makes of some of them."""
    try:
        yield
    except UnicodeDecodeError as error:  # the message of SQLite's own error holds a name that is no UTF-8
        found = error.object.decode(errors="backslashreplace")
        # The error without its traceback, which holds the open statement, and with it the lock on the file.
        raise sqlite3.DatabaseError(f"{found} (a name in it is not valid UTF-8)") from error.with_traceback(None)
    except ValueError as error:  # it is closed, and could not be opened again
        raise sqlite3.ProgrammingError(str(error)) from error.with_traceback(None)
    except MemoryError as error:  # what Python makes of SQLITE_NOMEM: a damaged row may claim to be of any size
        raise out_of_memory() from error.with_traceback(None)


async def close(connection: aiosqlite.Connection) -> None:
    """Close, and wait for it even when cancelled."""
    await wait_uncancelled(asyncio.ensure_future(connection.close()))


async def in_transaction(
    connection: aiosqlite.Connection,
    commands: Sequence[str],
    wait: LockWait,
    require: Callable[[sqlite3.Connection], object] = as_it_is,
) -> None:
    """Run `commands` in a transaction of their own, all in one call of the thread.

    `require`: called once no other connection can write; what it raises ends the transaction.

    Outside WAL mode a reader keeps it from committing. Then the COMMIT is tried again until the reader is gone,
    rather than the work thrown away.

    Raises sqlite3.Error, with everything rolled back: SQLITE_BUSY if a lock could not be had in time, or before the
    cancel; SQLITE_INTERRUPT if it was stopped.
    """

    def run(db: sqlite3.Connection) -> None:
        try:
            db.execute("BEGIN IMMEDIATE")
            require(db)
            for command in commands:
                db.execute(command).fetchall()
        except sqlite3.Error as error:
            if is_busy(error) and db.in_transaction:
                db.execute("ROLLBACK")
            raise
        try:
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if not (is_busy(error) and db.in_transaction):  # else it is tried again below
                raise

    async def attempt() -> None:
        await until_cancelled(connection, _in_its_thread(connection, run), wait.cancel)

    async with _rolled_back_on_error(connection, wait):
        await retry_while_locked(attempt, wait)
        if connection.in_transaction:
            await _commit(connection, wait)


@contextlib.asynccontextmanager
async def transaction(connection: aiosqlite.Connection, wait: LockWait) -> AsyncIterator[None]:
    """What runs inside is committed at the end, or rolled back where something is raised; see `in_transaction`."""
    async with _rolled_back_on_error(connection, wait):
        await retry_while_locked(lambda: short(connection, "BEGIN IMMEDIATE"), wait)
        yield
        await _commit(connection, wait)


async def _commit(connection: aiosqlite.Connection, wait: LockWait) -> None:
    await retry_while_locked(lambda: short(connection, "COMMIT"), replace(wait, closed=None))


@contextlib.asynccontextmanager
async def _rolled_back_on_error(connection: aiosqlite.Connection, wait: LockWait) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # some errors, and an interrupt, have rolled back already
            await short(connection, "ROLLBACK")
        raise
    finally:
        if wait.cancel.is_set():  # an interrupt that came too late would hit the next statement
            with contextlib.suppress(sqlite3.Error):
                await short(connection, "SELECT 1")


async def require_exclusive_lock(connection: aiosqlite.Connection) -> None:
    """Raises SQLITE_BUSY if another connection holds a lock that blocks commits."""
    await short(connection, "BEGIN EXCLUSIVE")
    await short(connection, "ROLLBACK")


async def retry_while_locked(attempt: Callable[[], Coroutine[Any, Any, T]], wait: LockWait) -> T:
    """The result of `attempt`, repeated while it is BUSY. It leaves nothing running when it is cancelled.

    SQLite notices no interrupt while it waits for a lock, so it waits only for a moment in each attempt. The pauses
    grow, and differ from those of others who wait.
    """
    clock = asyncio.get_running_loop().time
    deadline, pause = clock() + wait.timeout, _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or clock() >= deadline or wait.cancel.is_set():
                raise
            if wait.closed is not None and wait.closed.is_set():
                raise NotBegunError from None
        if wait.waiting is not None:
            await wait.waiting()
        await first_of(wait.cancel, timeout=pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        pause = min(2 * pause, _LONGEST_PAUSE)


async def retry_exclusive(
    connection: aiosqlite.Connection, attempt: Callable[[], Coroutine[Any, Any, T]], wait: LockWait
) -> T:
    """Retry like `retry_while_locked`, for work that needs the file for itself before it begins.

    Where readers overlap there is no moment without one, unless no new one is let in. SQLite sees to that while it
    waits itself: so all attempts but the first last long, although a cancel has to wait for them.
    """
    clock = asyncio.get_running_loop().time
    deadline, attempts = clock() + wait.timeout, 0

    async def attempt_longer() -> T:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            await _wait_in_sqlite(connection, min(_LONG_LOCK_ATTEMPT, max(deadline - clock(), _LOCK_ATTEMPT)))
        return await attempt()

    try:
        return await retry_while_locked(attempt_longer, wait)
    finally:
        if attempts > 1:
            await _wait_in_sqlite(connection, _LOCK_ATTEMPT)


async def _wait_in_sqlite(connection: aiosqlite.Connection, seconds: float) -> None:
    await short(connection, f"PRAGMA busy_timeout = {round(seconds * 1000)}")


async def fetch_all(connection: aiosqlite.Connection, sql: str, cancel: asyncio.Event) -> list[Any]:
    """All rows of `sql`; interrupted when `cancel` is set, or when the awaiting task is cancelled.

    Raises as `until_cancelled` does.
    """
    return await until_cancelled(connection, rows_of(connection, sql), cancel)


async def run_by(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T], cancel: asyncio.Event) -> T:
    """Run `work` in the thread of the connection, like `fetch_all`. It must always run some statement."""
    return await until_cancelled(connection, _in_its_thread(connection, work), cancel)


async def until_cancelled(
    connection: aiosqlite.Connection, running: Coroutine[Any, Any, T], cancel: asyncio.Event
) -> T:
    """The result of what runs on `connection`; interrupted when `cancel` is set, or the awaiting task is cancelled.

    Either way it has ended when this returns or raises: aiosqlite alone would let it run on in its thread, and a
    VACUUM would commit behind the back of a task that says it was cancelled.

    Raises sqlite3.Error (SQLITE_INTERRUPT if it was stopped), CancelledError if the task was cancelled.
    """
    statement = asyncio.ensure_future(running)
    try:
        await first_of(cancel, task=statement)
    except asyncio.CancelledError:
        with contextlib.suppress(sqlite3.Error):
            await wait_uncancelled(statement, connection.interrupt)
        raise
    return await wait_uncancelled(statement, connection.interrupt)
