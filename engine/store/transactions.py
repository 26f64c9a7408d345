"""The writes: each a whole transaction as one plain function of a connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from engine.errors import DuplicateRequestError, JobNotFoundError, OwnershipLostError
from engine.jobs import (
    Claim,
    JobId,
    Micros,
    OnDuplicate,
    OnFailure,
    Outcome,
    Reason,
    Report,
    Status,
    parent_status,
)
from engine.store.base import NewJob
from engine.store.rows import decode_options, encode_facts, encode_operations, encode_options

CLAIM = """
UPDATE child_job SET status = 'running', owner = :owner, attempt = attempt + 1, changed_at = max(:at, changed_at),
    started_at = max(:at, changed_at), fraction = NULL, object = NULL, steps_done = 0, steps_total = 0
WHERE (parent_id, ordinal) = (
    SELECT c.parent_id, c.ordinal FROM child_job AS c
    WHERE c.status = 'pending' {among}
        AND NOT EXISTS (SELECT 1 FROM child_job AS r WHERE r.status = 'running' AND r.target_key = c.target_key)
        AND NOT EXISTS (
            SELECT 1 FROM child_job AS s
            WHERE s.status = 'pending' AND s.parent_id = c.parent_id AND s.ordinal < c.ordinal)
    ORDER BY c.parent_id, c.ordinal LIMIT 1)
RETURNING parent_id, ordinal, type, attempt, operation,
    (SELECT target FROM parent_job WHERE id = child_job.parent_id),
    (SELECT options FROM parent_job WHERE id = child_job.parent_id)
"""
CLAIM_ANY = CLAIM.format(among="")
CLAIM_AMONG = CLAIM.format(among="AND c.parent_id IN (SELECT value FROM json_each(:parents))")

OWNED = "parent_id = ? AND ordinal = ? AND owner = ? AND attempt = ? AND status = 'running'"


def submit(connection: sqlite3.Connection, jobs: Sequence[NewJob], on_duplicate: OnDuplicate, at: Micros) -> list[int]:
    """All parents with all their children, or nothing."""
    newest = connection.execute("SELECT max(created_at) FROM parent_job").fetchone()[0] or 0
    at = max(at, newest)  # ids stay in time order even where the clock was set back
    return [_submit_one(connection, job, on_duplicate, at) for job in jobs]


def _submit_one(connection: sqlite3.Connection, job: NewJob, on_duplicate: OnDuplicate, at: Micros) -> int:
    operations, options = encode_operations(job.request.operations), encode_options(job.request.options)
    duplicate = connection.execute(
        "SELECT id FROM parent_job WHERE target_key = ? AND finished_at IS NULL AND cancel_requested_at IS NULL"
        " AND operations = ? AND options = ?",
        (job.target_key, operations, options),
    ).fetchone()
    if duplicate:
        if on_duplicate is OnDuplicate.REFUSE:
            raise DuplicateRequestError(job.request.target, duplicate[0])
        return int(duplicate[0])
    parent_id = connection.execute(
        "INSERT INTO parent_job (target, target_key, engine, operations, options, retry_of, created_at, changed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (job.request.target, job.target_key, job.engine, operations, options, job.retry_of, at, at),
    ).fetchone()[0]
    connection.executemany(
        "INSERT INTO child_job (parent_id, ordinal, target_key, operation, changed_at) VALUES (?, ?, ?, ?, ?)",
        [(parent_id, n, job.target_key, name, at) for n, name in enumerate(job.request.operations, 1)],
    )
    return int(parent_id)


def claim(connection: sqlite3.Connection, owner: str, parents: Collection[int] | None, at: Micros) -> Claim | None:
    """The next pending child whose target is free: oldest parent first, in the order of its request."""
    if parents is None:
        found = connection.execute(CLAIM_ANY, {"owner": owner, "at": at}).fetchone()
    else:
        among = {"owner": owner, "at": at, "parents": json.dumps(sorted(parents))}
        found = connection.execute(CLAIM_AMONG, among).fetchone()
    if found is None:
        return None
    parent_id, ordinal, job_type, attempt, operation, target, options = found
    _set_parent_status(connection, parent_id, Status.RUNNING, at)  # as parent_status says where a child runs
    return Claim(
        job=JobId(parent_id, ordinal),
        type=job_type,
        attempt=attempt,
        owner=owner,
        target=target,
        operation=operation,
        options=decode_options(options),
    )


def finish(connection: sqlite3.Connection, claim: Claim, outcome: Outcome, report: Report, at: Micros) -> None:
    """End a child, skip what was not to run after a failure, close the parent: fenced by owner and attempt."""
    progress = report.progress
    owned = connection.execute(
        "UPDATE child_job SET status = ?, reason = ?, error = ?, warnings = ?, before = ?, after = ?,"
        " fraction = ?, object = ?, steps_done = ?, steps_total = ?, owner = NULL,"
        f" finished_at = max(?, started_at), changed_at = max(?, changed_at) WHERE {OWNED}",
        (
            *(outcome.status, outcome.reason, storable(outcome.error), json.dumps(outcome.warnings)),
            *(encode_facts(outcome.before), encode_facts(outcome.after)),
            *(progress.fraction, storable(progress.object), progress.steps_done, progress.steps_total),
            *(at, at),
            *_token(claim),
        ),
    ).rowcount
    _require(owned, claim)
    _write_steps_and_log(connection, claim, report)
    if outcome.status is Status.FAILED and _stops_on_failure(connection, claim.job.parent):
        _end_pending(connection, claim.job.parent, Status.SKIPPED, Reason.PREVIOUS_FAILED, at)
    _settle_parent(connection, claim.job.parent, at)


def release(connection: sqlite3.Connection, claim: Claim, report: Report, at: Micros) -> None:
    """Hand a child back: pending again, with as many attempts left as before; cancelled where that was asked."""
    if _is_to_be_cancelled(connection, claim):
        finish(connection, claim, Outcome(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER), report, at)
        return
    write_report(connection, claim, report)
    connection.execute(
        "UPDATE child_job SET status = 'pending', owner = NULL, max_attempts = max_attempts + 1, changed_at = ?"
        f" WHERE {OWNED}",
        (at, *_token(claim)),
    )
    _settle_parent(connection, claim.job.parent, at)


def write_report(connection: sqlite3.Connection, claim: Claim, report: Report) -> None:
    """Progress, steps and log lines of a running child. Raises OwnershipLostError before anything is written."""
    progress = report.progress
    owned = connection.execute(
        f"UPDATE child_job SET fraction = ?, object = ?, steps_done = ?, steps_total = ? WHERE {OWNED}",
        (
            *(progress.fraction, storable(progress.object), progress.steps_done, progress.steps_total),
            *_token(claim),
        ),
    ).rowcount
    _require(owned, claim)
    _write_steps_and_log(connection, claim, report)


def _require(owned: int, claim: Claim) -> None:
    if not owned:
        raise OwnershipLostError(f"{claim.job} is no longer run by this process")


def _write_steps_and_log(connection: sqlite3.Connection, claim: Claim, report: Report) -> None:
    job = (claim.job.parent, claim.job.ordinal)
    for s in report.steps:
        connection.execute(
            "INSERT OR REPLACE INTO step"
            " (parent_id, ordinal, attempt, number, object, command, status, started_at, finished_at, error)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(*job, s.attempt, s.number, storable(s.object), storable(s.command)),
                *(s.status, s.started_at, s.finished_at, storable(s.error)),
            ),
        )
    for line in report.log:
        connection.execute(
            "INSERT OR REPLACE INTO log (parent_id, ordinal, attempt, number, at, level, message)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*job, line.attempt, line.number, line.at, line.level, storable(line.message)),
        )


def _is_to_be_cancelled(connection: sqlite3.Connection, claim: Claim) -> bool:
    (asked_at,) = connection.execute(
        "SELECT cancel_requested_at FROM child_job WHERE parent_id = ? AND ordinal = ?",
        (claim.job.parent, claim.job.ordinal),
    ).fetchone()
    return asked_at is not None


def request_cancel(connection: sqlite3.Connection, job: JobId, at: Micros) -> None:
    """Pending children end at once; a running one is asked. What is over stays as it is."""
    known = connection.execute(
        "SELECT 1 FROM child_job WHERE parent_id = ? AND ordinal = coalesce(?, ordinal)",
        (job.parent, job.ordinal),
    ).fetchone()
    if known is None:
        raise JobNotFoundError(f"job {job}", "there is no such job", "list them with `dbtend history`")
    if job.ordinal is None:
        connection.execute(
            "UPDATE parent_job SET cancel_requested_at = coalesce(cancel_requested_at, ?)"
            " WHERE id = ? AND finished_at IS NULL",
            (at, job.parent),
        )
    _end_pending(connection, job.parent, Status.CANCELLED, Reason.CANCELLED_BY_USER, at, job.ordinal)
    connection.execute(
        "UPDATE child_job SET cancel_requested_at = coalesce(cancel_requested_at, ?1), changed_at = ?1"
        " WHERE parent_id = ?2 AND ordinal = coalesce(?3, ordinal) AND status = 'running'",
        (at, job.parent, job.ordinal),
    )
    _settle_parent(connection, job.parent, at)


def rescue(connection: sqlite3.Connection, dead_owner: str, at: Micros) -> list[JobId]:
    """Take over what a dead process left running: again if an attempt is left, else failed; never lost."""
    orphans = connection.execute(
        "SELECT parent_id, ordinal, attempt, max_attempts, cancel_requested_at IS NOT NULL FROM child_job"
        " WHERE owner = ?",
        (dead_owner,),
    ).fetchall()
    for parent_id, ordinal, attempt, max_attempts, cancelled in orphans:
        if cancelled:
            status, reason, error = Status.CANCELLED, Reason.CANCELLED_BY_USER, None
        elif attempt < max_attempts:
            status, reason, error = Status.PENDING, None, None
        else:
            status, reason = Status.FAILED, Reason.OWNER_LOST
            error = f"the process that ran it died, {attempt} times"
        connection.execute(
            "UPDATE child_job SET status = ?, reason = ?, error = ?, owner = NULL, finished_at = ?, changed_at = ?"
            " WHERE parent_id = ? AND ordinal = ?",
            (status, reason, error, at if status.is_final else None, at, parent_id, ordinal),
        )
        connection.execute(
            "UPDATE step SET status = 'failed', finished_at = ?, error = 'the process that ran it died'"
            " WHERE parent_id = ? AND ordinal = ? AND attempt = ? AND status = 'running'",
            (at, parent_id, ordinal, attempt),
        )
        if status is Status.FAILED and _stops_on_failure(connection, parent_id):
            _end_pending(connection, parent_id, Status.SKIPPED, Reason.PREVIOUS_FAILED, at)
        _settle_parent(connection, parent_id, at)
    connection.execute("DELETE FROM worker WHERE id = ?", (dead_owner,))
    return [JobId(parent_id, ordinal) for parent_id, ordinal, *_ in orphans]


def register_worker(connection: sqlite3.Connection, owner: str, pid: int, host: str, at: Micros) -> None:
    connection.execute("INSERT INTO worker (id, pid, host, started_at) VALUES (?, ?, ?, ?)", (owner, pid, host, at))


def forget_worker(connection: sqlite3.Connection, owner: str) -> None:
    connection.execute("DELETE FROM worker WHERE id = ?", (owner,))


def storable(text: str | None) -> str | None:
    """Text as SQLite can keep it: a file name or a message may hold bytes that are no UTF-8."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _token(claim: Claim) -> tuple[int, int | None, str, int]:
    return claim.job.parent, claim.job.ordinal, claim.owner, claim.attempt


def _stops_on_failure(connection: sqlite3.Connection, parent_id: int) -> bool:
    (stored,) = connection.execute("SELECT options FROM parent_job WHERE id = ?", (parent_id,)).fetchone()
    options = decode_options(stored)
    return options is not None and options.on_failure is OnFailure.STOP


def _end_pending(
    connection: sqlite3.Connection,
    parent_id: int,
    status: Status,
    reason: Reason,
    at: Micros,
    ordinal: int | None = None,
) -> None:
    connection.execute(
        "UPDATE child_job SET status = ?1, reason = ?2, finished_at = ?3, changed_at = ?3"
        " WHERE parent_id = ?4 AND ordinal = coalesce(?5, ordinal) AND status = 'pending'",
        (status, reason, at, parent_id, ordinal),
    )


def _settle_parent(connection: sqlite3.Connection, parent_id: int, at: Micros) -> None:
    """Make the parent's stored status what its children say, in the transaction that changed them."""
    children = connection.execute(
        "SELECT status, attempt > 0 FROM child_job WHERE parent_id = ?", (parent_id,)
    ).fetchall()
    status = parent_status((Status(status), bool(started)) for status, started in children)
    _set_parent_status(connection, parent_id, status, at)


def _set_parent_status(connection: sqlite3.Connection, parent_id: int, status: Status, at: Micros) -> None:
    connection.execute(
        "UPDATE parent_job SET status = ?1, changed_at = max(?2, changed_at),"
        " finished_at = iif(?3, max(?2, changed_at), NULL),"
        " started_at = iif(?1 = 'running', coalesce(started_at, max(?2, changed_at)), started_at)"
        " WHERE id = ?4 AND status <> ?1",
        (status, at, status.is_final, parent_id),
    )
