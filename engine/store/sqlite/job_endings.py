"""What several transactions share: how children end without having run, and what that makes of their parent."""

from __future__ import annotations

import sqlite3

from engine.domain.effects import CheckResult
from engine.domain.frozen import frozen
from engine.domain.jobs import JobId
from engine.domain.requests import OnFailure, Operation, Options
from engine.domain.statuses import Reason, Status, parent_status
from engine.domain.steps import Facts, Micros
from engine.store.ending_texts import DONE_SINCE, HANDED_BACK, NOT_RECOVERED
from engine.store.rows import decode_options

BACK_TO_PENDING = """status = 'pending', owner = NULL, pid = NULL, host = NULL, started_at = NULL,
    fraction = NULL, object = NULL, steps_done = 0, steps_total = 0, phase = NULL, waits_for = NULL, waited = 0,
    target_key = (SELECT target_key FROM parent_job WHERE id = child_job.parent_id)"""


LAST_ATTEMPT_LEFT = f"""(
    SELECT CASE WHEN ?2 = 'not_needed' THEN '{DONE_SINCE}'
        WHEN a.reason = 'owner_lost' THEN '{NOT_RECOVERED}' WHEN a.reason = 'shutdown' THEN '{HANDED_BACK}' END
    FROM attempt AS a
    WHERE a.parent_id = child_job.parent_id AND a.ordinal = child_job.ordinal AND a.attempt = child_job.attempt)"""
"""The error of a child that ends for the reason ?2 while it waits to run again."""
CHILDREN = """SELECT c.status, c.attempt > 0, p.batch_id, p.canary
FROM parent_job AS p JOIN child_job AS c ON c.parent_id = p.id WHERE p.id = ?"""
# Only an end sets `finished_at`: to set it writes the indexes of open jobs again.
MOVES = """UPDATE parent_job SET status = ?1, changed_at = max(?2, changed_at),
    started_at = iif(?1 = 'running', coalesce(started_at, max(?2, changed_at)), started_at)
WHERE id = ?3 AND status <> ?1"""
ENDS = """UPDATE parent_job SET status = ?1, changed_at = max(?2, changed_at), finished_at = max(?2, changed_at)
WHERE id = ?3 AND status <> ?1"""


def stored_options(connection: sqlite3.Connection, parent_id: int) -> Options | None:
    """The options of a request; None if they cannot be read."""
    (stored,) = connection.execute("SELECT options FROM parent_job WHERE id = ?", (parent_id,)).fetchone()
    return decode_options(stored)


def stops_on_failure(connection: sqlite3.Connection, job: JobId, after: Facts | None = None) -> bool:
    """Whether nothing of a parent is to run any more when this child of it has failed; `after`: what it found."""
    options = stored_options(connection, job.parent)
    if options is None:
        return False
    if options.on_failure is OnFailure.STOP:
        return True
    others_need_it = (options.verify and job.ordinal == 1) or (options.check_first and _is_check(connection, job))
    check = CheckResult.of(after)
    return others_need_it and not (check is not None and check.found_no_damage)


def others_wait_for(connection: sqlite3.Connection, job: JobId) -> bool:
    """Whether this child is a check without which the others are not to run."""
    options = stored_options(connection, job.parent)
    return options is not None and options.check_first and _is_check(connection, job)


def skip_dependents(connection: sqlite3.Connection, job: JobId, at: Micros) -> None:
    """Skip the children that are not to run because this one, a check, is cancelled."""
    cancelled = connection.execute(
        "SELECT 1 FROM child_job WHERE parent_id = ? AND ordinal = ? AND status = 'cancelled'",
        (job.parent, job.ordinal),
    ).fetchone()
    if cancelled and others_wait_for(connection, job):
        end_pending(connection, job.parent, Status.SKIPPED, Reason.PREVIOUS_FAILED, at)


def _is_check(connection: sqlite3.Connection, job: JobId) -> bool:
    (operation,) = connection.execute(
        "SELECT operation FROM child_job WHERE parent_id = ? AND ordinal = ?", (job.parent, job.ordinal)
    ).fetchone()
    return bool(operation == Operation.CHECK)


def end_pending(
    connection: sqlite3.Connection,
    parent_id: int,
    status: Status,
    reason: Reason,
    at: Micros,
    ordinal: int | None = None,
) -> None:
    """End the pending children of a parent, or the one at `ordinal`, without running them, or running them again.

    Not those whose database is to be looked after.
    """
    connection.execute(
        f"UPDATE child_job SET status = ?1, reason = ?2, error = {LAST_ATTEMPT_LEFT},"
        " finished_at = max(?3, changed_at), changed_at = max(?3, changed_at)"
        " WHERE parent_id = ?4 AND ordinal = coalesce(?5, ordinal) AND status = 'pending' AND recovering = 0",
        (status, reason, at, parent_id, ordinal),
    )


@frozen
class EndedParent:
    """A parent that has just ended."""

    batch_id: int | None
    is_canary: bool


def derive_parent_status(connection: sqlite3.Connection, parent_id: int, at: Micros) -> EndedParent | None:
    """Make the parent's stored status what its children say; None unless that ends it."""
    children = connection.execute(CHILDREN, (parent_id,)).fetchall()
    status = parent_status((Status(status), bool(started)) for status, started, *_ in children)
    if not set_parent_status(connection, parent_id, status, at) or not status.is_final:
        return None
    *_, batch_id, is_canary = children[0]
    return EndedParent(batch_id, bool(is_canary))


def set_parent_status(connection: sqlite3.Connection, parent_id: int, status: Status, at: Micros) -> bool:
    """Store a status that `parent_status` gave, with the times that belong to it; whether it is another one."""
    changed = connection.execute(ENDS if status.is_final else MOVES, (status, at, parent_id)).rowcount
    return bool(changed)


def keep_attempt(
    connection: sqlite3.Connection,
    job: JobId,
    status: Status,
    reason: Reason,
    at: Micros,
    *,
    signal_number: int | None = None,
) -> None:
    """Remember the attempt that the child's row is about to forget."""
    connection.execute(
        "INSERT INTO attempt (parent_id, ordinal, attempt, pid, host, started_at, finished_at, status, reason, signal)"
        " SELECT parent_id, ordinal, attempt, pid, host, started_at, max(?, started_at), ?, ?, ? FROM child_job"
        " WHERE parent_id = ? AND ordinal = ?",
        (at, status, reason, signal_number, job.parent, job.ordinal),
    )
