"""Polls the progress of all running commands, several times a second."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pymysql

from engine.domain.errors import TargetError
from engine.domain.frozen import frozen
from engine.system.local_servers import milliseconds_of_thread
from engine.targets.command_monitor import CommandMonitor, WatchedCommand
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import is_disk_full, lost_connection
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading import locks
from engine.targets.mysql.reading.files import ids_of_tables
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table
from engine.targets.mysql.running.progress import Progress, Seen, shared

_ROW: Final = (int, str, str, int, float, int)
_NEW_FILE: Final = re.compile(r"#sql-ib(\d{1,18})-")


@frozen
class ThreadAtStart:
    """The thread of a command before it began. The server runs on this machine and is reached by its socket."""

    process: int
    number: int
    used: int
    """Milliseconds of a processor, for earlier commands."""

    def used_since(self, number: int) -> int | None:
        """Milliseconds. `number`: of the thread that runs the command now, which a pool of threads may change."""
        used = milliseconds_of_thread(self.process, number) if number == self.number else None
        return None if used is None else used - self.used


@dataclass(slots=True, kw_only=True)
class Watched(WatchedCommand):
    step: MySqlStep
    progress: Progress
    thread: ThreadAtStart | None = None
    sorted_bytes: float = 0.0
    """Of MySQL: see `shared`."""
    table_ids: Collection[int] | None = None
    """Of MySQL: see `ids_of_tables`; None: not read yet."""
    is_deaf: bool = False
    """Whether it waits for a lock and does not hear KILL."""

    @property
    def is_at_work(self) -> bool:
        """Whether it had its lock at the last look."""
        return self.has_begun and self.waits_since is None

    def note(self, seen: Seen, now: float, holders: str = "") -> None:
        """Record whether it waits for its lock, and whether it has done more than that."""
        self.has_begun = self.has_begun or not seen.waits_for_lock
        self.only_waited = not self.has_begun
        self.is_deaf = seen.waits_for_global_lock and self.step.makes_histograms
        self.note_wait(now, holders, waits=seen.waits_for_lock)


@frozen
class Waiter:
    """Another session that waits for a table."""

    is_here: int
    """Whether it uses the database of the command."""
    query: str
    seconds: int
    """The age of its statement."""


class Monitor(CommandMonitor[Watched]):
    """Reads the progress of commands."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self._reader = reader
        self._of_mariadb = reader.server.flavor is Flavor.MARIADB
        self._sees_threads = True
        self._sees_files = True
        self._sorted: int | None = None
        """Bytes that MySQL had read and written for sorting at the last look."""
        self._sees_locks = reader.server.flavor is Flavor.MYSQL
        self._table_ids: Mapping[str, Collection[int]] | None = None
        """See `ids_of_tables`; asked for once: no table is rebuilt twice."""

    async def poll(self) -> None:
        asked = dict(self.watched)
        running = [row for row in await self._processes() if row[0] in self.watched and row[1] in {"Query", "Execute"}]
        seen = {number: Seen(*shown) for number, _, *shown, _ in running}
        seen |= await self._with_files(seen)
        for number, *_, thread in running:
            if (watched := asked.get(number)) is not None:
                used = None if watched.thread is None else watched.thread.used_since(thread)
                await self._update(number, watched, replace(seen[number], used=used))

    async def _processes(self) -> list[tuple[Any, ...]]:
        """Rows as of `_ROW`; of all processes, and without their stages and threads, where the server tells no more."""
        if self._sees_threads:
            ids = ", ".join(map(str, self.watched))
            try:
                return await self._reader.rows_or_error(self._asked(ids), row=_ROW)
            except pymysql.MySQLError as error:
                self._sees_threads = _may_succeed_later(error)
        async with self._reader.alone() as connection:
            rows = await connection.named("SHOW PROCESSLIST")
        return [(int(row.get("Id") or 0), row.get("Command"), row.get("State") or "", 0, 0.0, 0) for row in rows]

    def _asked(self, ids: str) -> str:
        return query("processes", ids=ids, mariadb=self._of_mariadb)

    async def thread_of(self, connection: Connection) -> int:
        """The thread of the server that runs the commands of a connection; 0: not known."""
        with contextlib.suppress(pymysql.MySQLError):
            rows = await connection.rows(self._asked(f"{connection.id}"), row=_ROW)
            return int(rows[0][-1]) if rows else 0
        return 0

    async def _with_files(self, seen: Mapping[int, Seen]) -> Mapping[int, Seen]:
        """Those that rebuild, with the bytes of the new files, and of MySQL those of its files for sorting."""
        rebuilding = {number: self.watched[number] for number in seen}
        rebuilding = {number: one for number, one in rebuilding.items() if one.step.method is Method.REBUILD}
        if not self._sees_files or not rebuilding:
            return {}
        try:
            if self._of_mariadb:
                rows = await self._reader.rows_or_error(query("new_files"), row=(str, int))
                sizes = {int(number, 16): size for number, size in rows}
                return {number: replace(seen[number], new_file=sizes.get(number)) for number in rebuilding}
            return await self._written(rebuilding, seen)
        except pymysql.MySQLError as error:
            self._sees_files = _may_succeed_later(error)
            return {}

    async def _written(self, rebuilding: Mapping[int, Watched], seen: Mapping[int, Seen]) -> Mapping[int, Seen]:
        rows = await self._reader.rows_or_error(query("written_bytes"), row=(str, int))
        new = Counter[int]()
        for name, size in rows:
            if found := _NEW_FILE.match(name):
                new[int(found[1])] += size
        sorted_now = sum(size for name, size in rows if not name.startswith("#sql-ib"))
        since = max(sorted_now - self._sorted, 0) if self._sorted is not None else 0
        self._sorted = sorted_now
        at_work = {number: one.step.table for number, one in rebuilding.items() if one.is_at_work}
        for number, share in shared(since, at_work).items():
            rebuilding[number].sorted_bytes += share
        for number, watched in rebuilding.items():
            if new and watched.table_ids is None and not seen[number].waits_for_lock:
                watched.table_ids = ()  # the server does not answer while another session has locked a table
                with contextlib.suppress(TargetError):
                    if self._table_ids is None:
                        self._table_ids = await ids_of_tables(self._reader)
                    watched.table_ids = self._table_ids.get(self._reader.server.file_name(watched.step.table.name), ())
        return {
            number: replace(
                seen[number],
                new_file=sum(new[file] for file in one.table_ids) if one.table_ids else None,
                sorting=round(one.sorted_bytes),
            )
            for number, one in rebuilding.items()
        }

    async def _update(self, number: int, watched: Watched, seen: Seen) -> None:
        holders = ""
        if seen.waits_for_global_lock and self._reader.server.flavor is Flavor.MYSQL:
            holders = await locks.global_holders(self._reader)
        elif seen.waits_for_lock and watched.step.tables:
            tables, unknown = [watched.step.table], locks.UNKNOWN_HOLDER
            holders = await locks.holders(self._reader, tables, self.watched, unknown=unknown)
        if self.watched.get(number) is not watched:  # its command has ended since it was looked at
            return
        now = time.monotonic()
        watched.note(seen, now, holders)
        watched.report(watched.progress.update(seen, now, watched.holders))
        if watched.yield_after is not None:
            waits = await self._others_wait(watched, watched.step.table, now)
            watched.wait_behind(now, waits=waits)

    async def _others_wait(self, watched: Watched, table: Table, now: float) -> bool:
        """Whether other sessions wait behind a command on a table."""
        ids = ", ".join(map(str, self.watched))
        if self._sees_locks and await self._is_awaited(table, ids):
            return True
        rows = await self._reader.rows_or_error(query("waiting_for_tables", ids=ids), row=(int, str, int))
        waited = None if watched.waits_since is None else now - watched.waits_since
        waiters = [Waiter(*row) for row in rows]
        return any(is_behind(one, table, waited, is_sure=self._sees_locks) for one in waiters)

    async def _is_awaited(self, table: Table, ids: str) -> bool:
        try:
            ((number,),) = await self._reader.rows_or_error(query("pending_locks", ids=ids), [table.name], row=(int,))
        except pymysql.MySQLError as error:
            self._sees_locks = _may_succeed_later(error)
            return False
        return bool(number)


def _may_succeed_later(error: pymysql.MySQLError) -> bool:
    """Whether a query may: on a full disk it finds no room for its temporary table; else the user has no right to it.

    Raises the error where the connection is lost.
    """
    if lost_connection(error):
        raise error
    return is_disk_full(error)


def is_behind(waiter: Waiter, table: Table, waited: float | None, *, is_sure: bool) -> bool:
    """Whether a session waits behind a command on a table.

    Args:
        waited: seconds that the command has waited for its lock; None: it does not wait.
        is_sure: whether the server has named the sessions of other databases that wait for the table. Otherwise each
            counts that came after the command: it may read the table through a view.
    """
    query = waiter.query.lower()
    if _names(query, table.name) and (waiter.is_here or _names(query, table.database)):
        return True
    if waited is None:
        return False
    is_after = not is_sure and waiter.seconds <= waited and not query.startswith("/* dbtend ")
    return bool(waiter.is_here) or is_after


def _names(query: str, name: str) -> bool:
    """Whether a query has this name in it, and not only as a part of another one."""
    return re.search(rf"(?<![\w$]){re.escape(name.lower())}(?![\w$])", query) is not None
