"""What the end of a job leads to in its batch: others are let go, or are not to begin."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.store.sqlite.job_endings import derive_parent_status, end_pending

OPEN_CANARY = """SELECT 1 FROM parent_job INDEXED BY parent_job_canary
WHERE batch_id = ? AND canary = 1 AND (status = 'pending' OR status = 'running') LIMIT 1"""
FAILED_CANARY = """SELECT 1 FROM parent_job AS p INDEXED BY parent_job_canary
WHERE batch_id = ? AND canary = 1 AND (status <> 'completed' OR EXISTS (
    SELECT 1 FROM child_job AS c WHERE c.parent_id = p.id AND c.status = 'skipped' AND c.reason IS NOT 'not_needed'))
LIMIT 1"""
NOT_BEGUN = "SELECT id FROM parent_job INDEXED BY parent_job_batch WHERE batch_id = ? AND status = 'pending'"
FAILED = """SELECT count(*) FROM (
    SELECT 1 FROM parent_job INDEXED BY parent_job_batch WHERE batch_id = ? AND status = 'failed' LIMIT ?)"""


def update_parent(connection: sqlite3.Connection, parent_id: int, at: Micros) -> None:
    """Make the parent's stored status what its children say, in the transaction that changed them.

    If that ends it, the rules of its batch apply.
    """
    ended = derive_parent_status(connection, parent_id, at)
    if ended is not None and ended.batch_id is not None:
        apply_rules(connection, ended.batch_id, at, canary_ended=ended.is_canary)


def apply_rules(connection: sqlite3.Connection, batch_id: int, at: Micros, *, canary_ended: bool) -> None:
    """Let go what waits for canaries, or skip it; after too many failures skip all that has not begun."""
    (max_failures,) = connection.execute("SELECT max_failures FROM batch WHERE id = ?", (batch_id,)).fetchone()
    if canary_ended and not connection.execute(OPEN_CANARY, (batch_id,)).fetchone():
        if connection.execute(FAILED_CANARY, (batch_id,)).fetchone():
            _skip(connection, _not_begun(connection, batch_id), Reason.CANARY_FAILED, at)
        else:
            _let_go(connection, _not_begun(connection, batch_id), at)
    if max_failures is not None:
        (failed,) = connection.execute(FAILED, (batch_id, max_failures)).fetchone()
        if failed >= max_failures:
            _skip(connection, _not_begun(connection, batch_id), Reason.TOO_MANY_FAILURES, at)


def _not_begun(connection: sqlite3.Connection, batch_id: int) -> list[int]:
    return [parent_id for (parent_id,) in connection.execute(NOT_BEGUN, (batch_id,))]


def _skip(connection: sqlite3.Connection, parent_ids: Iterable[int], reason: Reason, at: Micros) -> None:
    for parent_id in parent_ids:
        end_pending(connection, parent_id, Status.SKIPPED, reason, at)
        derive_parent_status(connection, parent_id, at)


def _let_go(connection: sqlite3.Connection, parent_ids: Iterable[int], at: Micros) -> None:
    connection.executemany(
        "UPDATE child_job SET held = 0, changed_at = max(?, changed_at) WHERE parent_id = ? AND held = 1",
        [(at, parent_id) for parent_id in parent_ids],
    )
