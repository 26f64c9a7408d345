"""What lets jobs of a batch go, or keeps them from beginning: the ends of others, and their time to start."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.store.sqlite.job_endings import derive_parent_status, end_pending
from engine.store.sqlite.queries import FAILED_CHILD

OPEN_CANARY = """SELECT 1 FROM parent_job INDEXED BY parent_job_canary
WHERE batch_id = ? AND canary = 1 AND (status = 'pending' OR status = 'running') LIMIT 1"""
FAILED_CANARY = f"""SELECT 1 FROM parent_job AS p INDEXED BY parent_job_canary
JOIN child_job AS c ON c.parent_id = p.id
WHERE batch_id = ? AND canary = 1 AND ({FAILED_CHILD} OR c.status = 'cancelled'
    OR (c.status = 'skipped' AND c.reason IS NOT 'not_needed'))
LIMIT 1"""
NOT_BEGUN = "SELECT id FROM parent_job INDEXED BY parent_job_batch WHERE batch_id = ? AND status = 'pending'"
FAILED = f"""SELECT count(*) FROM (
    SELECT 1 FROM parent_job AS p INDEXED BY parent_job_batch WHERE batch_id = ? AND status = 'failed'
        AND EXISTS (SELECT 1 FROM child_job AS c WHERE c.parent_id = p.id AND {FAILED_CHILD}) LIMIT ?)"""

DUE_TO_START = """SELECT id, batch_id, canary FROM parent_job WHERE id IN (
    SELECT parent_id FROM child_job INDEXED BY child_job_starts
    WHERE status = 'pending' AND held = 1 AND starts_at IS NOT NULL AND starts_at <= ?)"""


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


def let_start(connection: sqlite3.Connection, at: Micros) -> None:
    """Let go the children whose time to start has come, unless they also wait for a canary."""
    for parent_id, batch_id, is_canary in connection.execute(DUE_TO_START, (at,)).fetchall():
        waits = not is_canary and _waits_for_canary(connection, batch_id)
        connection.execute(
            "UPDATE child_job SET held = ?1, starts_at = NULL, changed_at = max(?2, changed_at)"
            " WHERE parent_id = ?3 AND status = 'pending' AND held = 1",
            (waits, at, parent_id),
        )


def _waits_for_canary(connection: sqlite3.Connection, batch_id: int | None) -> bool:
    return batch_id is not None and connection.execute(OPEN_CANARY, (batch_id,)).fetchone() is not None


def _not_begun(connection: sqlite3.Connection, batch_id: int) -> list[int]:
    return [parent_id for (parent_id,) in connection.execute(NOT_BEGUN, (batch_id,))]


def _skip(connection: sqlite3.Connection, parent_ids: Iterable[int], reason: Reason, at: Micros) -> None:
    for parent_id in parent_ids:
        end_pending(connection, parent_id, Status.SKIPPED, reason, at)
        derive_parent_status(connection, parent_id, at)


def _let_go(connection: sqlite3.Connection, parent_ids: Iterable[int], at: Micros) -> None:
    connection.executemany(
        "UPDATE child_job SET held = 0, starts_at = NULL, changed_at = max(?, changed_at)"
        " WHERE parent_id = ? AND held = 1 AND (starts_at IS NULL OR starts_at <= ?)",
        [(at, parent_id, at) for parent_id in parent_ids],
    )
