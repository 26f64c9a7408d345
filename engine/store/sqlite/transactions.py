"""The writes in the life of a job, from its submit to its end.

Each is a whole transaction as one plain function of a connection; so are those in the modules beside this one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.domain.errors import DuplicateRequestError, OwnershipLostError
from engine.domain.jobs import JobId
from engine.domain.lazy_import import lazy
from engine.domain.requests import OnDuplicate
from engine.domain.statuses import Reason, Status
from engine.domain.steps import FILE, LOG_HEAD, LOG_TAIL, REPLACED_FILE, Facts, Micros, Step
from engine.store.protocol import MAX_ATTEMPTS, NewBatch, NewJob
from engine.store.row_checks import checked
from engine.store.rows import decode_options, decode_steps, encode_facts, encode_operations, encode_options, storable
from engine.store.sqlite import damage
from engine.store.sqlite.batch_rules import apply_rules, update_parent
from engine.store.sqlite.cancel_and_rescue import OVERDUE, cancel_batch, enforce_time_limits
from engine.store.sqlite.job_endings import (
    BACK_TO_PENDING,
    derive_parent_status,
    end_pending,
    keep_attempt,
    others_wait_for,
    set_parent_status,
    stops_on_failure,
)
from engine.store.sqlite.queries import STEPS

if TYPE_CHECKING:
    from engine.domain import claims
    from engine.domain.claims import Claim, Outcome, Report
else:
    claims = lazy("engine.domain.claims", "a console claims nothing")

FREE = """NOT EXISTS (SELECT 1 FROM child_job AS r WHERE r.status = 'running' AND r.target_key = c.target_key)
    AND (c.host_key IS NULL OR NOT EXISTS (
        SELECT 1 FROM batch WHERE id = (SELECT batch_id FROM parent_job WHERE id = c.parent_id)
            AND max_per_host IS NOT NULL AND max_per_host <= (
                SELECT count(*) FROM child_job AS r CROSS JOIN parent_job AS p ON p.id = r.parent_id
                    CROSS JOIN batch AS b ON b.id = p.batch_id
                WHERE r.status = 'running' AND r.host_key = c.host_key AND b.max_per_host IS NOT NULL)))"""
"""Nothing else runs on its target, and its batch allows one more on its server. Only jobs of batches with such a limit
count, as others would keep it waiting without an end."""
EVERYBODYS = "status = 'pending' AND reserved_by IS NULL AND held = 0"


def _known_of(child: str) -> str:
    """What a claim needs of the child that a query finds."""
    return f"""
SELECT c.parent_id, c.ordinal, c.type, c.attempt, c.operation, p.target, p.options,
    CASE WHEN c.recovering = 0 THEN NULL WHEN c.cancel_requested_at IS NULL THEN 'owner_lost'
        ELSE coalesce(c.cancel_reason, 'cancelled_by_user') END,
    c.force_requested_at IS NOT NULL, p.deadline_at, c.changed_at,
    EXISTS (SELECT 1 FROM damage AS d WHERE d.target = p.target),
    NOT EXISTS (SELECT 1 FROM child_job AS o WHERE o.parent_id = p.id AND o.attempt > 0)
        AND NOT EXISTS (SELECT 1 FROM parent_job AS o WHERE o.target = p.target AND o.id <> p.id)
FROM ({child}) AS n CROSS JOIN child_job AS c ON (c.parent_id, c.ordinal) = (n.parent_id, n.ordinal)
    CROSS JOIN parent_job AS p ON p.id = c.parent_id
"""


# In this order the first child whose target is free is also the first pending one of its parent.
# With many targets, a free one is found among the oldest children. With few targets that are all busy, this search
# would read every child: from some point on it goes from target to target.
AMONG_THE_OLDEST = _known_of(f"""
SELECT parent_id, ordinal FROM (
    SELECT parent_id, ordinal, target_key, host_key FROM child_job INDEXED BY child_job_pending
    WHERE {EVERYBODYS} ORDER BY parent_id, ordinal LIMIT 100) AS c
WHERE {FREE} LIMIT 1
""")
OF_EACH_TARGET = _known_of(f"""
WITH RECURSIVE target (key) AS (
    SELECT (SELECT min(target_key) FROM child_job WHERE {EVERYBODYS})
    UNION ALL
    SELECT (SELECT min(target_key) FROM child_job WHERE {EVERYBODYS} AND target_key > key)
    FROM target WHERE key IS NOT NULL)
SELECT c.parent_id, c.ordinal FROM target JOIN child_job AS c ON (c.parent_id, c.ordinal) = (
    SELECT parent_id, ordinal FROM child_job WHERE {EVERYBODYS} AND target_key = key
    ORDER BY parent_id, ordinal LIMIT 1)
WHERE {FREE} ORDER BY c.parent_id LIMIT 1
""")
# A run may have thousands of parents: their ids are not read each time.
OF_THIS_RUN = _known_of(f"""
SELECT parent_id, ordinal FROM (
    SELECT parent_id, ordinal, target_key, host_key FROM child_job INDEXED BY child_job_pending_of_run
    WHERE status = 'pending' AND held = 0 AND reserved_by = ? ORDER BY parent_id, ordinal LIMIT 100) AS c
WHERE {FREE} LIMIT 1
""")
OF_THESE_PARENTS = _known_of(f"""
SELECT parent_id, ordinal FROM child_job AS c
WHERE c.status = 'pending' AND c.held = 0 AND c.parent_id IN (SELECT value FROM json_each(?1))
    AND (c.reserved_by IS NULL OR c.reserved_by = ?2) AND {FREE}
ORDER BY parent_id, ordinal LIMIT 1
""")
# Recovery runs even while paused.
TO_BE_RECOVERED = _known_of(f"""
SELECT parent_id, ordinal FROM child_job AS c INDEXED BY child_job_recovering
WHERE c.status = 'pending' AND c.recovering = 1 AND (?1 IS NULL OR c.parent_id IN (SELECT value FROM json_each(?1)))
    AND (c.reserved_by IS NULL OR c.reserved_by = ?2) AND {FREE}
ORDER BY parent_id, ordinal LIMIT 1
""")
PAUSED_OR_OVERDUE = f"SELECT EXISTS (SELECT 1 FROM pause), EXISTS ({OVERDUE})"
CLAIM = """
UPDATE child_job SET status = 'running', owner = ?1, attempt = attempt + 1, changed_at = ?2, started_at = ?2,
    (pid, host) = (SELECT pid, host FROM worker WHERE id = ?1)
WHERE parent_id = ?3 AND ordinal = ?4
"""
BEFORE = f"""
SELECT (SELECT count(*) FROM attempt AS a
        WHERE a.parent_id = c.parent_id AND a.ordinal = c.ordinal AND a.reason = 'owner_lost'),
    (SELECT signal FROM attempt AS a
        WHERE a.parent_id = c.parent_id AND a.ordinal = c.ordinal AND a.reason = 'owner_lost'
        ORDER BY attempt DESC LIMIT 1), {STEPS}
FROM child_job AS c WHERE c.parent_id = ? AND c.ordinal = ?
"""

BEGUN_BATCH = """SELECT id, created_at, next_job, cancelled_by IS NOT NULL,
    (SELECT count(*) FROM parent_job WHERE batch_id = batch.id)
FROM batch WHERE id = ? AND unsubmitted > 0"""
OWNED = "parent_id = ? AND ordinal = ? AND owner = ? AND attempt = ? AND status = 'running'"


def submit(
    connection: sqlite3.Connection,
    jobs: Sequence[NewJob],
    on_duplicate: OnDuplicate,
    at: Micros,
    submission: str | None = None,
    run: str | None = None,
    batch: NewBatch | None = None,
) -> list[int]:
    """All parents with all their children, or nothing.

    Args:
        submission: identifies this submit after an uncertain commit.
        run: the run that they are reserved for; None: not reserved.
        batch: the batch that the new ones make up; None: none. If there is no new one, it is not stored.
    """
    jobs = [job if job.starts_at is None or job.starts_at > at else replace(job, starts_at=None) for job in jobs]
    created_at = at = _not_before_the_newest(connection, at)
    for job in jobs:
        _follow_path(connection, job)
    encoded = [(encode_operations(job.request.operations), encode_options(job.request.options)) for job in jobs]
    joined = [_joined(connection, job, work, on_duplicate) for job, work in zip(jobs, encoded, strict=True)]
    batch_id, next_job, is_cancelled = None, None, False
    ids, new = list[int](), 0
    begun = None if batch is None else connection.execute(BEGUN_BATCH, (batch.id,)).fetchone()
    if begun is not None:
        batch_id, created_at, next_job, is_cancelled, new = begun
    elif batch is not None and batch.id is None and None in joined:
        batch_id = _insert_batch(connection, batch, at)
    canaries = None if batch is None or batch_id is None else batch.options.canary
    for job, work, duplicate in zip(jobs, encoded, joined, strict=True):
        if duplicate is not None:
            ids.append(duplicate)
            continue
        is_canary = canaries is not None and new < canaries
        held = canaries is not None and not is_canary
        schedule = None if batch is None else batch.schedule
        ids.append(
            _insert_job(
                connection, job, work, at, submission, run, batch_id, is_canary=is_canary, held=held, schedule=schedule,
                created_at=created_at, id_=next_job,
            )
        )  # fmt: skip
        new += 1
        next_job = None if next_job is None else next_job + 1
    if batch is not None and begun is not None:
        values = (batch.unsubmitted, next_job, batch_id)
        connection.execute("UPDATE batch SET unsubmitted = ?, next_job = ? WHERE id = ?", values)
        if not new:
            connection.execute("DELETE FROM batch WHERE id = ? AND unsubmitted = 0", (batch_id,))
            batch_id = None
    if batch_id is not None and is_cancelled:
        cancel_batch(connection, batch_id, at)
    elif batch_id is not None:
        apply_rules(connection, batch_id, at, canary_ended=canaries is not None)
    return ids


def begin_batch(connection: sqlite3.Connection, batch: NewBatch, jobs: int, at: Micros) -> int:
    """A batch without jobs yet. No other job gets one of their ids."""
    at = _not_before_the_newest(connection, at)
    batch_id = _insert_batch(connection, batch, at)
    kept = connection.execute("UPDATE main.sqlite_sequence SET seq = seq + ? WHERE name = 'parent_job'", (jobs,))
    if not kept.rowcount:
        connection.execute("INSERT INTO main.sqlite_sequence (name, seq) VALUES ('parent_job', ?)", (jobs,))
    connection.execute(
        "UPDATE batch SET unsubmitted = ?1, next_job = 1 - ?1"
        " + (SELECT seq FROM main.sqlite_sequence WHERE name = 'parent_job') WHERE id = ?2",
        (jobs, batch_id),
    )
    return batch_id


def _not_before_the_newest(connection: sqlite3.Connection, at: Micros) -> Micros:
    """Ids stay in time order even where the clock was set back."""
    newest = connection.execute("SELECT max(created_at) FROM parent_job").fetchone()[0] or 0
    checked({"created_at": newest})
    return max(at, newest)


def _follow_path(connection: sqlite3.Connection, job: NewJob) -> None:
    """Open jobs of the same path wait for the file that is there now, whatever replaced the one that was there.

    A running child keeps its key until it waits again.
    """
    if not job.engine.is_file or job.failure is not None:
        return
    key = storable(job.target_key)
    moved = connection.execute(
        "UPDATE parent_job SET target_key = ?1 WHERE target = ?2 AND finished_at IS NULL AND target_key <> ?1"
        " RETURNING id",
        (key, storable(job.request.target)),
    ).fetchall()
    connection.executemany(
        "UPDATE child_job SET target_key = ? WHERE parent_id = ? AND status = 'pending'",
        [(key, parent_id) for (parent_id,) in moved],
    )


def _joined(
    connection: sqlite3.Connection, job: NewJob, work: tuple[str, str], on_duplicate: OnDuplicate
) -> int | None:
    """The parent that repeats the same, if newer than the known ones; or the open one that does the same, but none of
    a schedule: its start and its end are those of the schedule.

    `work`: its stored operations and options. Raises DuplicateRequestError.
    """
    newer = "SELECT max(id) FROM parent_job WHERE retry_of = ? AND id > ?"
    (duplicate,) = connection.execute(newer, (job.retry_of, job.known_retry)).fetchone()
    if duplicate is None and job.failure is None and on_duplicate is not OnDuplicate.ADD:
        (duplicate,) = connection.execute(
            "SELECT max(id) FROM parent_job WHERE target_key = ? AND finished_at IS NULL AND cancel_requested_at IS"
            " NULL AND operations = ? AND options = ? AND schedule IS NULL",
            (job.target_key, *work),
        ).fetchone()
    if duplicate is not None and on_duplicate is OnDuplicate.REFUSE:
        raise DuplicateRequestError(job.request.target, duplicate)
    return None if duplicate is None else int(duplicate)


def _insert_batch(connection: sqlite3.Connection, batch: NewBatch, at: Micros) -> int:
    options = batch.options
    (batch_id,) = connection.execute(
        "INSERT INTO batch (created_at, retry_of, max_failures, canary, max_per_host) VALUES (?, ?, ?, ?, ?)"
        " RETURNING id",
        (at, batch.retry_of, options.max_failures, options.canary, options.max_per_host),
    ).fetchone()
    return int(batch_id)


def _insert_job(
    connection: sqlite3.Connection,
    job: NewJob,
    work: tuple[str, str],
    at: Micros,
    submission: str | None,
    run: str | None,
    batch_id: int | None,
    *,
    is_canary: bool,
    held: bool,
    schedule: str | None,
    created_at: Micros,
    id_: int | None,
) -> int:
    """`id_`: None: the next one."""
    (parent_id,) = connection.execute(
        "INSERT INTO parent_job"
        " (id, target, target_key, engine, operations, options, retry_of, deadline_at, submission, batch_id, canary,"
        " is_pattern, schedule, created_at, changed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            *(id_, storable(job.request.target), storable(job.target_key), job.engine, *work),
            *(job.retry_of, job.deadline_at, submission, batch_id, is_canary, job.is_pattern),
            *(schedule, created_at, at),
        ),
    ).fetchone()
    connection.executemany(
        "INSERT INTO child_job (parent_id, ordinal, target_key, host_key, operation, max_attempts, reserved_by, held,"
        " starts_at, estimate, changed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                parent_id,
                n,
                storable(job.target_key),
                job.host_key,
                name,
                job.max_attempts.get(name, MAX_ATTEMPTS),
                run,
                held or job.starts_at is not None,
                job.starts_at,
                job.request.estimates.get(name),
                at,
            )
            for n, name in enumerate(job.request.children, 1)
        ],
    )
    if job.failure is not None:
        connection.execute(
            "UPDATE child_job SET status = 'failed', reason = ?1, error = ?2, finished_at = ?3 WHERE parent_id = ?4",
            (job.failure.reason, storable(job.failure.error), at, parent_id),
        )
        derive_parent_status(connection, parent_id, at)
    return int(parent_id)


def claim(
    connection: sqlite3.Connection,
    owner: str,
    parents: Collection[int] | None,
    at: Micros,
    wall: Micros,
    run: str | None = None,
) -> Claim | None:
    """The next pending child whose target is free: oldest parent first, in the order of its request.

    `wall`: the wall-clock time, for windows.
    """
    paused, is_overdue = connection.execute(PAUSED_OR_OVERDUE, (wall,)).fetchone()
    if is_overdue:
        enforce_time_limits(connection, wall)
    known = _next_to_run(connection, parents, run, paused=bool(paused))
    if known is None:
        return None
    (
        parent_id, ordinal, job_type, attempts, operation, target, options, recovering, forced, deadline_at,
        changed_at, is_damaged, is_first,
    ) = known  # fmt: skip
    job, started_at = JobId(parent_id, ordinal), max(at, changed_at)
    connection.execute(CLAIM, (owner, started_at, parent_id, ordinal))
    set_parent_status(connection, parent_id, Status.RUNNING, at)  # as parent_status says where a child runs
    deaths, signal, earlier = _earlier_attempts(connection, job) if attempts else (0, None, ())
    return claims.Claim(
        job=job,
        type=job_type,
        attempt=attempts + 1,
        owner=owner,
        target=target,
        started_at=started_at,
        operation=operation,
        options=decode_options(options),
        recovering=Reason(recovering) if recovering else None,
        deaths=deaths,
        signal=signal,
        earlier=earlier,
        time_left=None if deadline_at is None else (deadline_at - wall) / 1e6,
        forced=bool(forced),
        damage=damage.of_target(connection, target) if is_damaged else (),
        is_first=bool(is_first),
    )


def _earlier_attempts(connection: sqlite3.Connection, job: JobId) -> tuple[int, int | None, tuple[Step, ...]]:
    """The number of attempts whose process died, the signal of the last such death, and the steps of all."""
    deaths, signal, steps = connection.execute(BEFORE, (job.parent, job.ordinal)).fetchone()
    return deaths, signal, decode_steps(steps)


def _next_to_run(
    connection: sqlite3.Connection, parents: Collection[int] | None, run: str | None, *, paused: bool
) -> tuple[Any, ...] | None:
    for sql, values in next_child_queries(parents, run, paused=paused):
        known: tuple[Any, ...] | None = connection.execute(sql, values).fetchone()
        if known and (parents is None or known[0] in parents):
            return known
    return None


def next_child_queries(
    parents: Collection[int] | None, run: str | None, *, paused: bool
) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """Queries with their values, in order: the first that finds a child of these parents gives the next one to run."""
    if parents is None and not paused:
        yield from ((AMONG_THE_OLDEST, ()), (OF_EACH_TARGET, ()))
        return
    if run is not None and not paused:
        yield OF_THIS_RUN, (run,)
    these = None if parents is None else json.dumps(sorted(parents))
    yield TO_BE_RECOVERED if paused else OF_THESE_PARENTS, (these, run)


def finish(connection: sqlite3.Connection, claim: Claim, outcome: Outcome, report: Report, at: Micros) -> None:
    """End a child, skip later ones after a failure, close the parent: fenced by owner and attempt."""
    progress, at = report.progress, outcome.ended_at or at
    if outcome.attempt is not None:
        claim = _resume_attempt(connection, claim, outcome.attempt)
    owned = connection.execute(
        "UPDATE child_job SET status = ?1, reason = iif(?1 = 'cancelled', coalesce(cancel_reason, ?2), ?2), error = ?,"
        " warnings = ?, before = ?, after = ?, steps_left = ?, estimate = ?, size_estimate = ?, fraction = ?,"
        " object = ?, steps_done = ?, steps_total = ?, owner = NULL,"
        " phase = NULL, waits_for = NULL, finished_at = max(?, started_at), changed_at = max(?, changed_at)"
        f" WHERE {OWNED}",
        (
            *(outcome.status, outcome.reason, storable(outcome.error), json.dumps(outcome.warnings)),
            *(encode_facts(outcome.before), encode_facts(outcome.after), outcome.left),
            *(outcome.estimate, outcome.size_estimate),
            *(progress.fraction, storable(progress.object), progress.steps_done, progress.steps_total),
            *(at, at),
            *_token(claim),
        ),
    ).rowcount
    require_owned(owned, claim)
    _write_steps_and_log(connection, claim, report)
    failed = outcome.status is Status.FAILED and stops_on_failure(connection, claim.job, outcome.after)
    unknown = outcome.status is Status.CANCELLED and others_wait_for(connection, claim.job)
    if failed or unknown:
        end_pending(connection, claim.job.parent, Status.SKIPPED, Reason.PREVIOUS_FAILED, at)
    elif outcome.reason is Reason.TIME_LIMIT:  # whatever the clock says now, as it may have been set back
        end_pending(connection, claim.job.parent, Status.SKIPPED, Reason.TIME_LIMIT, at)
    _follow_file(connection, outcome.after or {})
    damage.save(connection, claim.target, outcome.damage)
    update_parent(connection, claim.job.parent, at)


def _resume_attempt(connection: sqlite3.Connection, claim: Claim, earlier: int) -> Claim:
    """Let a running child be the earlier attempt that ended and could not tell the store; that attempt as a claim."""
    job = (claim.job.parent, claim.job.ordinal, earlier)
    resumed = connection.execute(
        "UPDATE child_job SET (attempt, started_at, pid, host, recovering) = ("
        " SELECT attempt, started_at, pid, host, 0 FROM attempt WHERE parent_id = ? AND ordinal = ? AND attempt = ?)"
        f" WHERE {OWNED} AND EXISTS (SELECT 1 FROM attempt WHERE parent_id = ? AND ordinal = ? AND attempt = ?)",
        (*job, *_token(claim), *job),
    ).rowcount
    if not resumed:
        return claim
    connection.execute("DELETE FROM attempt WHERE parent_id = ? AND ordinal = ? AND attempt = ?", job)
    return replace(claim, attempt=earlier)


def _follow_file(connection: sqlite3.Connection, after: Facts) -> None:
    """Jobs that wait for a file which another one has replaced wait for that one."""
    if (old := after.get(REPLACED_FILE)) is not None:
        keys = (after.get(FILE), old)
        connection.execute("UPDATE child_job SET target_key = ? WHERE target_key = ? AND status = 'pending'", keys)
        connection.execute("UPDATE parent_job SET target_key = ? WHERE target_key = ? AND finished_at IS NULL", keys)


def release(connection: sqlite3.Connection, claim: Claim, report: Report, at: Micros) -> None:
    """Hand a child back as pending without using up an attempt; cancelled if that was requested."""
    if _is_to_be_cancelled(connection, claim):
        finish(connection, claim, claims.Outcome(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER), report, at)
        return
    write_report(connection, claim, report)
    keep_attempt(connection, claim.job, Status.CANCELLED, Reason.SHUTDOWN, at)
    connection.execute(
        f"UPDATE child_job SET {BACK_TO_PENDING}, max_attempts = max_attempts + 1, changed_at = max(?, changed_at)"
        f" WHERE {OWNED}",
        (at, *_token(claim)),
    )
    update_parent(connection, claim.job.parent, at)


def write_report(connection: sqlite3.Connection, claim: Claim, report: Report) -> None:
    """Progress, steps and log lines of a running child. Raises OwnershipLostError before anything is written."""
    progress = report.progress
    owned = connection.execute(
        "UPDATE child_job SET fraction = ?, object = ?, steps_done = ?, steps_total = ?, phase = ?, waits_for = ?,"
        " waited = ?"
        f" WHERE {OWNED}",
        (
            *(progress.fraction, storable(progress.object), progress.steps_done, progress.steps_total),
            *(progress.phase, progress.waits_for, progress.waited),
            *_token(claim),
        ),
    ).rowcount
    require_owned(owned, claim)
    _write_steps_and_log(connection, claim, report)


def require_owned(owned: int, claim: Claim) -> None:
    """Raises OwnershipLostError unless `owned`."""
    if not owned:
        raise OwnershipLostError(f"{claim.job} is no longer run by this process")


def _write_steps_and_log(connection: sqlite3.Connection, claim: Claim, report: Report) -> None:
    job = (claim.job.parent, claim.job.ordinal)
    if report.steps:
        connection.executemany(
            "INSERT OR REPLACE INTO step"
            " (parent_id, ordinal, attempt, number, object, command, status, started_at, finished_at, error, effect,"
            " operation, error_is_finding, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    *(*job, s.attempt, s.number, storable(s.object), storable(s.command)),
                    *(
                        s.status,
                        s.started_at,
                        s.finished_at,
                        storable(s.error),
                        storable(encode_facts(s.effect)),
                        s.operation,
                        s.error_is_finding,
                        s.reason,
                    ),
                )
                for s in report.steps
            ),
        )
    if not report.log:
        return
    connection.executemany(
        "INSERT OR REPLACE INTO log (parent_id, ordinal, attempt, number, at, level, message, is_settings)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (*job, line.attempt, line.number, line.at, line.level, storable(line.message), line.is_settings)
            for line in report.log
        ),
    )
    if report.log[-1].number > LOG_HEAD + LOG_TAIL:
        connection.execute(
            "DELETE FROM log WHERE parent_id = ? AND ordinal = ? AND attempt = ? AND number > ? AND number <= ?",
            (*job, claim.attempt, LOG_HEAD, report.log[-1].number - LOG_TAIL),
        )


def _is_to_be_cancelled(connection: sqlite3.Connection, claim: Claim) -> bool:
    asked = connection.execute(
        f"SELECT 1 FROM child_job WHERE {OWNED} AND cancel_requested_at IS NOT NULL AND recovering = 0", _token(claim)
    ).fetchone()
    return asked is not None


def _token(claim: Claim) -> tuple[int, int | None, str, int]:
    return claim.job.parent, claim.job.ordinal, claim.owner, claim.attempt
