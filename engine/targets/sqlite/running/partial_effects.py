"""What a step that did not complete has left: by what is seen of it afterwards."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Final

from engine.domain.humanize import NOT_BEGUN, size
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain
from engine.targets.sqlite.planning.steps import Method
from engine.targets.sqlite.system.files import file_size

if TYPE_CHECKING:
    from engine.targets.sqlite.running.work import Work

NOTHING_CHANGED: Final = "nothing changed"
COPY_REMOVED: Final = "the unfinished copy was removed"
PATIENCE: Final = 1.0
"""Seconds that the look waits for a lock."""


async def left_by(work: Work) -> str:
    """In words, after the step was cancelled or has failed."""
    match work.step.method:
        case Method.VACUUM:
            return await _by_vacuum(work)
        case Method.TRANSACTION | Method.TOGETHER | Method.ANALYZE | Method.OPTIMIZE:
            if work.connection.aio.in_transaction:
                return "its transaction is open still, and is undone when its connection is closed"
            return work.done or NOTHING_CHANGED
        case Method.INCREMENTAL | Method.MERGE:
            return work.done or NOTHING_CHANGED
        case Method.CHECK | Method.FOREIGN_KEYS:
            return "it did not get through; a check changes nothing"
        case Method.CHECKPOINT:
            return f"the log is {size(file_size(work.path + '-wal'))} long"
        case Method.COPY | Method.COPY_CHECK:
            return _by_copy(work)


async def _by_vacuum(work: Work) -> str:
    """A VACUUM that was done, and nothing else that is no change of the schema, gives the schema another version."""
    if work.schema_version is None:
        return NOT_BEGUN
    try:
        now = await schema_version(work, PATIENCE)
    except sqlite3.Error as error:
        return f"whether anything changed could not be found out: {explain(error, PATIENCE)}"
    if now != work.schema_version:
        return "the version of the schema is another one: somebody changed it, or VACUUM was done all the same"
    return NOTHING_CHANGED


async def schema_version(work: Work, lock_timeout: float) -> int:
    """Raises sqlite3.Error."""
    ((version,),) = await statement.read(work.connection.aio, "PRAGMA main.schema_version", lock_timeout)
    return int(version)


def _by_copy(work: Work) -> str:
    if work.copy is not None:
        work.copy.discard()
        work.copy = None
    directory = work.step.unfinished
    if os.path.lexists(directory):
        return f"an unfinished copy that could not be removed: {directory}"
    return COPY_REMOVED if work.began_copy else NOT_BEGUN
