"""Cancels, time limits, and rescue from processes that died.

A cancel ends pending children, and asks running ones to stop.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from engine.domain.errors import no_such_batch, no_such_job
from engine.domain.jobs import FILE_OVERWRITTEN, JobId
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.store.ending_texts import (
    KILLED,
    NOT_RECOVERED,
    OVERWRITTEN,
    RECOVERY_DIED_TOO,
    RECOVERY_FAILED,
    format_worker_death,
)
from engine.store.row_checks import sound
from engine.store.sqlite.batch_rules import update_parent
from engine.store.sqlite.job_endings import (
    BACK_TO_PENDING,
    end_pending,
    keep_attempt,
    skip_dependents,
    stops_on_failure,
    stored_options,
)
from engine.system.overwritten_file import overwritten_hint, was_overwritten

OVERDUE = """
SELECT p.id FROM parent_job AS p WHERE p.deadline_at <= ? AND p.deadline_at IS NOT NULL AND p.finished_at IS NULL
    AND EXISTS (
        SELECT 1 FROM child_job AS c WHERE c.parent_id = p.id AND (
            c.status = 'pending' AND c.recovering = 0 OR c.status = 'running' AND c.cancel_requested_at IS NULL
                AND p.options ->> 'stop_at_limit'))
"""

OPEN_OF_BATCH = """SELECT id FROM parent_job INDEXED BY parent_job_batch
WHERE batch_id = ? AND (status = 'pending' OR status = 'running')"""

ORPHANS = """
SELECT c.parent_id, c.ordinal, c.attempt, c.max_attempts,
    iif(c.cancel_requested_at IS NULL, NULL, coalesce(c.cancel_reason, 'cancelled_by_user')), c.recovering,
    p.deadline_at,
    (SELECT count(*) FROM attempt AS a
     WHERE a.parent_id = c.parent_id AND a.ordinal = c.ordinal AND a.reason = 'owner_lost'),
    c.force_requested_at >= c.started_at, p.engine, p.target
FROM child_job AS c INDEXED BY child_job_one_running_per_target CROSS JOIN parent_job AS p ON p.id = c.parent_id
WHERE c.status = 'running' AND c.owner = ?
"""


def request_cancel(connection: sqlite3.Connection, job: JobId, reason: Reason, at: Micros) -> None:
    """Cancel pending children at once; ask running ones to stop. Finished ones do not change.

    A child that awaits recovery ends, too: its database is not recovered.
    """
    known = connection.execute(
        "SELECT 1 FROM child_job WHERE parent_id = ? AND ordinal = coalesce(?, ordinal)",
        (job.parent, job.ordinal),
    ).fetchone()
    if known is None:
        raise no_such_job(job)
    _end_or_ask_to_stop(connection, job, reason, at)
    update_parent(connection, job.parent, at)


def cancel_batch(connection: sqlite3.Connection, batch_id: int, at: Micros) -> None:
    """`request_cancel` of all its open parents, and of those that are still to come."""
    if connection.execute("SELECT 1 FROM batch WHERE id = ?", (batch_id,)).fetchone() is None:
        raise no_such_batch(batch_id)
    connection.execute("UPDATE batch SET cancelled_by = '' WHERE id = ? AND unsubmitted > 0", (batch_id,))
    parent_ids = [parent_id for (parent_id,) in connection.execute(OPEN_OF_BATCH, (batch_id,))]
    cancel_all(connection, parent_ids, Reason.CANCELLED_BY_USER, at)


def cancel_all(connection: sqlite3.Connection, parent_ids: Collection[int], reason: Reason, at: Micros) -> None:
    """`request_cancel` of these parents."""
    for parent_id in parent_ids:
        _end_or_ask_to_stop(connection, JobId(parent_id), reason, at)
    # After all cancels: else a cancelled canary would make the others end as skipped.
    for parent_id in parent_ids:
        update_parent(connection, parent_id, at)


def _end_or_ask_to_stop(connection: sqlite3.Connection, job: JobId, reason: Reason, at: Micros) -> None:
    if job.ordinal is None:
        connection.execute(
            "UPDATE parent_job SET cancel_requested_at = coalesce(cancel_requested_at, ?)"
            " WHERE id = ? AND finished_at IS NULL",
            (at, job.parent),
        )
    end_pending(connection, job.parent, Status.CANCELLED, reason, at, job.ordinal)
    _give_up_recovery(connection, job, reason, at)
    _ask_running_to_stop(connection, job, reason, at)
    if job.ordinal is not None:
        skip_dependents(connection, job, at)


def _give_up_recovery(connection: sqlite3.Connection, job: JobId, reason: Reason, at: Micros) -> None:
    connection.execute(
        "UPDATE child_job SET status = 'cancelled', reason = coalesce(cancel_reason, ?5), error = ?1,"
        " finished_at = max(?2, changed_at), changed_at = max(?2, changed_at)"
        " WHERE parent_id = ?3 AND ordinal = coalesce(?4, ordinal) AND status = 'pending' AND recovering = 1",
        (NOT_RECOVERED, at, job.parent, job.ordinal, reason),
    )


def request_force(
    connection: sqlite3.Connection, job: JobId, running: JobId, owner: str, reason: Reason, at: Micros
) -> bool:
    """Ask `job` to stop, and record that `running` will be killed; False if `owner` no longer runs it."""
    if not is_run_by(connection, running, owner):
        return False
    request_cancel(connection, job, reason, at)
    connection.execute(
        "UPDATE child_job SET force_requested_at = max(?, cancel_requested_at) WHERE parent_id = ? AND ordinal = ?",
        (at, running.parent, running.ordinal),
    )
    return True


def is_run_by(connection: sqlite3.Connection, job: JobId, owner: str) -> bool:
    return (
        connection.execute(
            "SELECT 1 FROM child_job WHERE parent_id = ? AND ordinal = ? AND owner = ?",
            (job.parent, job.ordinal, owner),
        ).fetchone()
        is not None
    )


def _ask_running_to_stop(connection: sqlite3.Connection, job: JobId, reason: Reason, at: Micros) -> None:
    connection.execute(
        "UPDATE child_job SET cancel_requested_at = max(?1, changed_at), cancel_reason = ?2,"
        " changed_at = max(?1, changed_at)"
        " WHERE parent_id = ?3 AND ordinal = coalesce(?4, ordinal) AND status = 'running'"
        " AND cancel_requested_at IS NULL",
        (at, reason, job.parent, job.ordinal),
    )


def enforce_time_limits(connection: sqlite3.Connection, at: Micros) -> None:
    """Skip pending children past the limit of their parent; ask running ones to stop if the request says so."""
    overdue = [parent_id for (parent_id,) in connection.execute(OVERDUE, (at,))]
    for parent_id in overdue:
        end_pending(connection, parent_id, Status.SKIPPED, Reason.TIME_LIMIT, at)
        options = stored_options(connection, parent_id)
        if options is not None and options.stop_at_limit:
            _ask_running_to_stop(connection, JobId(parent_id), Reason.TIME_LIMIT, at)
    # After all limits: jobs that wait for a canary end for the limit, too, not because of the canary.
    for parent_id in overdue:
        update_parent(connection, parent_id, at)


@sound("a job of a process that died")
def rescue(
    connection: sqlite3.Connection, dead_owner: str, at: Micros, signal_number: int | None = None
) -> list[JobId]:
    """Take over the running children of a dead process.

    A child runs again if attempts are left. Otherwise, or if a cancel was requested, its database is recovered first; a
    child whose recovery died ends at once. So does one whose file was overwritten: opening the new file could apply the
    old journal to it.

    Args:
        signal_number: the signal that ended the process, if known.
    """
    orphans = connection.execute(ORPHANS, (dead_owner,)).fetchall()
    for parent_id, ordinal, attempt, max_attempts, cancel_reason, recovering, deadline_at, deaths, *how in orphans:
        job, (forced, engine, target) = JobId(parent_id, ordinal), how
        why = KILLED if forced else format_worker_death(1, signal_number)
        if was_overwritten(engine, signal_number):
            why = OVERWRITTEN
            keep_attempt(connection, job, Status.FAILED, Reason.OWNER_LOST, at, signal_number=signal_number)
            error, facts = f"{why}: {overwritten_hint(target)}", json.dumps({FILE_OVERWRITTEN: True})
            _end_orphan(connection, job, Status.FAILED, Reason.OWNER_LOST, error, at, facts)
            end_pending(connection, parent_id, Status.SKIPPED, Reason.PREVIOUS_FAILED, at)
        elif recovering:
            _end_recovery(connection, job, cancel_reason, deaths, signal_number, at)
        else:
            is_late = deadline_at is not None and deadline_at <= at
            ends = cancel_reason is not None or attempt >= max_attempts or is_late
            _back_to_pending(connection, job, signal_number, at, recovering=ends)
        connection.execute(
            "UPDATE step SET status = 'failed', finished_at = max(?, started_at), error = ?"
            " WHERE parent_id = ? AND ordinal = ? AND attempt = ? AND status = 'running'",
            (at, why, parent_id, ordinal, attempt),
        )
        update_parent(connection, parent_id, at)
    connection.execute("DELETE FROM worker WHERE id = ?", (dead_owner,))
    return [JobId(parent_id, ordinal) for parent_id, ordinal, *_ in orphans]


def _back_to_pending(
    connection: sqlite3.Connection, job: JobId, signal_number: int | None, at: Micros, *, recovering: bool
) -> None:
    keep_attempt(connection, job, Status.FAILED, Reason.OWNER_LOST, at, signal_number=signal_number)
    connection.execute(
        f"UPDATE child_job SET {BACK_TO_PENDING}, recovering = ?, changed_at = max(?, changed_at)"
        " WHERE parent_id = ? AND ordinal = ?",
        (recovering, at, job.parent, job.ordinal),
    )


def _end_recovery(
    connection: sqlite3.Connection,
    job: JobId,
    cancel_reason: str | None,
    deaths: int,
    signal_number: int | None,
    at: Micros,
) -> None:
    if cancel_reason is not None:
        _end_orphan(connection, job, Status.CANCELLED, Reason(cancel_reason), RECOVERY_FAILED, at)
        skip_dependents(connection, job, at)
        return
    error = f"{format_worker_death(deaths, signal_number)}, {RECOVERY_DIED_TOO}"
    _end_orphan(connection, job, Status.FAILED, Reason.OWNER_LOST, error, at)
    if stops_on_failure(connection, job):
        end_pending(connection, job.parent, Status.SKIPPED, Reason.PREVIOUS_FAILED, at)


def _end_orphan(
    connection: sqlite3.Connection,
    job: JobId,
    status: Status,
    reason: Reason,
    error: str,
    at: Micros,
    facts: str | None = None,
) -> None:
    connection.execute(
        "UPDATE child_job SET status = ?1, reason = ?2, error = ?3, owner = NULL, phase = NULL, waits_for = NULL,"
        " after = coalesce(?7, after),"
        " finished_at = max(?4, started_at), changed_at = max(?4, changed_at) WHERE parent_id = ?5 AND ordinal = ?6",
        (status, reason, error, at, job.parent, job.ordinal, facts),
    )


def release_from(connection: sqlite3.Connection, run: str, at: Micros) -> None:
    """Let any process claim the open children reserved for this run."""
    connection.execute(
        "UPDATE child_job SET reserved_by = NULL, changed_at = max(?, changed_at)"
        " WHERE reserved_by = ? AND finished_at IS NULL",
        (at, run),
    )
