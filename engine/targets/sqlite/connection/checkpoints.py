"""Checkpoints of a target, each beside a connection that reads it: see engine/system/wal_checkpoint.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress

from engine.system import wal_checkpoint
from engine.system.wal_checkpoint import LONG_LOG
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.system.files import file_size

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
