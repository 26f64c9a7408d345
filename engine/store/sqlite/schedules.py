"""Schedules in the store: the state of each, and the outcome of its due times."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine.domain.lazy_import import lazy
from engine.domain.requests import OnDuplicate
from engine.domain.schedules import Firing, FiringReason, FiringStatus, ScheduleState
from engine.domain.steps import Micros
from engine.store.protocol import NewBatch, NewJob
from engine.store.rows import FIRING, FIRINGS_KEPT, FIRINGS_KEPT_OF_EACH, SCHEDULE_STATE, storable

if TYPE_CHECKING:
    from engine.store.sqlite import transactions
else:
    transactions = lazy("engine.store.sqlite.transactions", "only a schedule that fires needs it")

STATES: Final = f"SELECT {', '.join(SCHEDULE_STATE)} FROM schedule"
FIRINGS: Final = f"""SELECT {", ".join(FIRING)} FROM firing
WHERE schedule = :schedule AND due_at >= :since AND due_at <= :until ORDER BY due_at DESC LIMIT :limit"""
ALL_FIRINGS: Final = f"""SELECT {", ".join(FIRING)} FROM firing
WHERE due_at >= :since AND due_at <= :until ORDER BY due_at DESC, schedule LIMIT :limit"""
_COMES_AGAIN: Final = "status = 'missed' AND recorded_at > :now"
"""A miss recorded while the clock was ahead: its due time is yet to come."""
LAST_HANDLED: Final = f"""SELECT due_at FROM firing
WHERE schedule = :schedule AND due_at <= :now AND reason IS NOT 'by_hand' AND NOT ({_COMES_AGAIN})
ORDER BY due_at DESC LIMIT 1"""
LAST_FIRED: Final = """SELECT due_at FROM firing
WHERE schedule = :schedule AND due_at >= :since AND status = 'fired' ORDER BY due_at DESC LIMIT 1"""
OPEN_BATCH: Final = """SELECT batch_id FROM firing INDEXED BY firing_newest_batch
WHERE schedule = ? AND batch_id IS NOT NULL AND batch_id = (
    SELECT max(batch_id) FROM firing WHERE schedule = ? AND batch_id IS NOT NULL)
AND EXISTS (SELECT 1 FROM parent_job INDEXED BY parent_job_batch
    WHERE parent_job.batch_id = firing.batch_id AND (status = 'pending' OR status = 'running'))"""
"""The batch of a schedule that has not ended. Only its newest one can be open, as none begins beside it."""


def observe(connection: sqlite3.Connection, seen: Collection[ScheduleState]) -> None:
    """Keep what a worker has read of schedules: due times count from `since` on, where one is new or has changed, or
    was seen while the clock was ahead."""
    connection.executemany(
        "INSERT INTO schedule (name, start, config, since) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT (name) DO UPDATE SET since = iif(start = ?2, min(since, ?4), ?4), start = ?2, config = ?3"
        " WHERE start <> ?2 OR config <> ?3 OR since > ?4",
        [(one.name, one.start, storable(one.config), one.since) for one in seen],
    )


def forget(connection: sqlite3.Connection, names: Collection[str]) -> None:
    """Forget schedules that a config file no longer has: they miss no due times. Disabled ones stay disabled."""
    connection.executemany("DELETE FROM schedule WHERE name = ? AND disabled_at IS NULL", [(name,) for name in names])


def enable(connection: sqlite3.Connection, name: str, at: Micros) -> None:
    """Let it be due again, from now on."""
    connection.execute(
        "UPDATE schedule SET disabled_at = NULL, disabled_by = '', since = max(since, ?)"
        " WHERE name = ? AND disabled_at IS NOT NULL",
        (at, name),
    )


def disable(connection: sqlite3.Connection, name: str, by: str, at: Micros) -> None:
    """Let it be due no more. A second time changes nothing."""
    connection.execute(
        "INSERT INTO schedule (name, start, config, since, disabled_at, disabled_by) VALUES (?1, '', '', ?2, ?2, ?3)"
        " ON CONFLICT (name) DO UPDATE SET disabled_at = ?2, disabled_by = ?3 WHERE disabled_at IS NULL",
        (name, at, storable(by)),
    )


def fire(
    connection: sqlite3.Connection,
    firing: Firing,
    jobs: Sequence[NewJob],
    batch: NewBatch,
    at: Micros,
    submission: str,
    run: str | None = None,
) -> Firing | None:
    """Record that a due time fires, and submit its jobs; None, and nothing is written, if others were first.

    If jobs of an earlier one are open, it is recorded as skipped instead; one by hand is not. Its jobs are its own,
    also where others do the same: their window, their limits and their end are those of the schedule. See
    `transactions.submit` for the others.
    """
    if not _may_record(connection, firing):
        return None
    if connection.execute(OPEN_BATCH, (firing.schedule, firing.schedule)).fetchone():
        if firing.reason is FiringReason.BY_HAND:
            return None
        recorded = replace(firing, status=FiringStatus.SKIPPED, reason=FiringReason.STILL_RUNNING)
    elif jobs:
        ids = transactions.submit(connection, jobs, OnDuplicate.ADD, at, submission, run, batch)
        (batch_id,) = connection.execute("SELECT batch_id FROM parent_job WHERE id = ?", (ids[0],)).fetchone()
        recorded = replace(firing, batch=batch_id, jobs=len(jobs))
    else:
        recorded = replace(firing, reason=firing.reason or FiringReason.NOT_NEEDED, jobs=0)
    _insert(connection, recorded)
    return recorded


def record(connection: sqlite3.Connection, firings: Iterable[Firing]) -> list[Firing]:
    """Record due times that did not fire; those that others recorded before are left out."""
    recorded = [firing for firing in firings if _may_record(connection, firing)]
    for one in recorded:
        _insert(connection, one)
    return recorded


def prune(connection: sqlite3.Connection, at: Micros) -> None:
    connection.execute("DELETE FROM firing WHERE due_at < ?", (at - FIRINGS_KEPT,))
    for (name,) in connection.execute("SELECT DISTINCT schedule FROM firing").fetchall():
        connection.execute(
            "DELETE FROM firing WHERE schedule = ?1 AND due_at <= ("
            " SELECT due_at FROM firing WHERE schedule = ?1 ORDER BY due_at DESC LIMIT 1 OFFSET ?2)",
            (name, FIRINGS_KEPT_OF_EACH),
        )


def _may_record(connection: sqlite3.Connection, firing: Firing) -> bool:
    """Whether its schedule is enabled, and nothing is recorded of this due time but a miss that is yet to come."""
    found = connection.execute(
        "SELECT 1 FROM schedule WHERE name = :schedule AND disabled_at IS NOT NULL AND :reason IS NOT 'by_hand'"
        f" UNION ALL SELECT 1 FROM firing WHERE schedule = :schedule AND due_at = :due_at AND NOT ({_COMES_AGAIN})",
        {"schedule": firing.schedule, "due_at": firing.due_at, "now": firing.recorded_at, "reason": firing.reason},
    ).fetchone()
    return found is None


def _insert(connection: sqlite3.Connection, firing: Firing) -> None:
    connection.execute(
        f"INSERT OR REPLACE INTO firing ({', '.join(FIRING)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(firing.schedule, firing.due_at, firing.status, firing.reason, storable(firing.error)),
            *(firing.batch, firing.jobs, firing.recorded_at),
        ),
    )
