"""What remains of a step that did not complete, inspected afterwards."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Final

from engine.domain.humanize import NOT_BEGUN, size
from engine.targets.check_results import CHECK_UNFINISHED
from engine.targets.database_files import file_size
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain
from engine.targets.sqlite.planning.steps import Method
from engine.targets.step_execution import NOTHING_CHANGED

if TYPE_CHECKING:
    from engine.targets.sqlite.running.work import Work

COPY_REMOVED: Final = "the unfinished copy was removed"
INSPECTION_LOCK_TIMEOUT: Final = 1.0
"""Seconds."""


async def partial_effect(work: Work) -> str:
    """What remains, as text, after the step was cancelled or failed."""
    match work.step.method:
        case Method.VACUUM:
            return await _after_vacuum(work)
        case Method.TRANSACTION | Method.REBUILD | Method.GROUPED | Method.ANALYZE | Method.OPTIMIZE:
            if work.connection.aio.in_transaction:
                return "its transaction is still open, and is rolled back when its connection closes"
            return work.partial_effect or NOTHING_CHANGED
        case Method.INCREMENTAL | Method.MERGE | Method.REMOVE_BACKUPS:
            return work.partial_effect or NOTHING_CHANGED
        case Method.CHECK | Method.FOREIGN_KEYS:
            return CHECK_UNFINISHED
        case Method.CHECKPOINT:
            return f"the write-ahead log is {size(file_size(work.path + '-wal'))} long"
        case Method.COPY | Method.COMPARE | Method.COPY_CHECK | Method.SWAP:
            return _after_copy(work)


async def _after_vacuum(work: Work) -> str:
    """Compare schema versions: only a completed VACUUM, or a change of the schema, alters it."""
    if work.schema_version is None:
        return NOT_BEGUN
    try:
        wait = statement.LockWait(INSPECTION_LOCK_TIMEOUT)
        ((now,),) = await statement.read(work.connection.aio, "PRAGMA main.schema_version", wait)
    except sqlite3.Error as error:
        return f"unknown whether anything changed: {explain(error, INSPECTION_LOCK_TIMEOUT)}"
    if now != work.schema_version:
        return "the schema version changed: VACUUM completed after all, or another connection changed the schema"
    return NOTHING_CHANGED


def _after_copy(work: Work) -> str:
    if work.copy is not None:
        work.copy.discard()
        work.copy = None
    directory = work.step.unfinished
    if os.path.lexists(directory):
        return f"an unfinished copy could not be removed: {directory}"
    return COPY_REMOVED if work.copy_begun else NOT_BEGUN
