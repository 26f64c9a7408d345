"""The reads: SQL for each question the engine and the console ask. Each is one statement, so one snapshot.

The search of the history is in history_search.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from engine.domain.job_outcomes import JobOutcome
from engine.domain.requests import NO_SERVER_OPTIONS
from engine.domain.statuses import LEFT_BY_WINDOW
from engine.domain.steps import COURSE
from engine.store.rows import EMBEDDED_JOB_COLUMNS

Query = tuple[str, dict[str, Any]]

JOB = f"SELECT {EMBEDDED_JOB_COLUMNS} FROM parent_job AS p JOIN child_job AS c ON c.parent_id = p.id"

ATTEMPTS = """(SELECT json_group_array(json_object('number', attempt, 'pid', pid, 'host', host,
    'started_at', started_at, 'finished_at', finished_at, 'status', status, 'reason', reason, 'signal', signal))
    FROM (SELECT * FROM attempt AS a WHERE a.parent_id = c.parent_id AND a.ordinal = c.ordinal ORDER BY attempt))"""
STEPS = """(SELECT json_group_array(json_object('number', number, 'attempt', attempt, 'object', object,
    'command', command, 'status', status, 'started_at', started_at, 'finished_at', finished_at, 'error', error,
    'effect', json(effect), 'operation', operation, 'error_is_finding', error_is_finding, 'reason', reason))
    FROM (SELECT * FROM step AS s WHERE s.parent_id = c.parent_id AND s.ordinal = c.ordinal
          ORDER BY attempt, number))"""
LOG = """(SELECT json_group_array(json_object('number', number, 'attempt', attempt, 'at', at, 'level', level,
    'message', message, 'is_settings', is_settings))
    FROM (SELECT * FROM log AS l WHERE l.parent_id = c.parent_id AND l.ordinal = c.ordinal
          ORDER BY attempt, number))"""

WHOLE_JOB = f"""SELECT {EMBEDDED_JOB_COLUMNS}, {ATTEMPTS}, {STEPS}, {LOG}
FROM parent_job AS p JOIN child_job AS c ON c.parent_id = p.id"""
ONE_JOB = f"{WHOLE_JOB} WHERE p.id = :id"

# The index is named where old statistics, of a day with everything open, would lead through the whole history.
OPEN_JOBS = f"""SELECT {EMBEDDED_JOB_COLUMNS} FROM parent_job AS p INDEXED BY parent_job_open
JOIN child_job AS c ON c.parent_id = p.id WHERE p.finished_at IS NULL"""

ENDED = """SELECT id FROM parent_job INDEXED BY parent_job_ended WHERE finished_at >= :since
ORDER BY id DESC LIMIT :limit"""

_LEFT_OUT = "(c.status = 'skipped' AND c.reason IS NOT 'not_needed')"
BY_WINDOW = ", ".join(f"'{reason}'" for reason in sorted(LEFT_BY_WINDOW))
_IN_PART = f"({_LEFT_OUT} OR (c.status = 'completed' AND c.reason IN ({BY_WINDOW})))"
_CHILD = "SELECT 1 FROM child_job AS c WHERE c.parent_id = p.id"
_INTERRUPTED = f"""p.finished_at IS NULL AND EXISTS ({_CHILD} AND c.status = 'pending' AND c.attempt > 0)
    AND NOT EXISTS ({_CHILD} AND c.status = 'running')"""
FAILED_CHILD = """(c.status = 'failed' AND NOT (c.operation = 'check' AND c.after ->> '$.broken_rule' IS NOT NULL
    AND coalesce(c.after ->> '$.complete', 0) AND c.after ->> '$.damage' IS NULL
    AND coalesce(c.after ->> '$.damaged_indexes', '[]') = '[]'))"""
"""Whether it failed, and not as a check that found nothing but rows that break a rule: see `found_inconsistency`."""
JOB_OUTCOME = f"""CASE
    WHEN p.status = 'failed' AND EXISTS ({_CHILD} AND c.reason = 'unreachable') THEN 'unreachable'
    WHEN p.status = 'failed' AND NOT EXISTS ({_CHILD} AND (c.status = 'cancelled' OR {_IN_PART} OR {FAILED_CHILD}))
        THEN 'inconsistent'
    WHEN {_INTERRUPTED} THEN 'interrupted'
    WHEN p.status <> 'completed' THEN p.status
    WHEN NOT EXISTS ({_CHILD} AND NOT {_LEFT_OUT}) THEN 'skipped'
    WHEN EXISTS ({_CHILD} AND {_IN_PART}) THEN 'partial'
    ELSE 'completed' END"""
"""The outcome of a parent, as `outcome_of` has it."""
_EACH_OUTCOME = ", ".join(f"'{name}', count(*) FILTER (WHERE outcome = '{name}')" for name in JobOutcome)
# Without a limit SQLite would work out the outcome of a job once for each name.
BATCH = f"""SELECT id, created_at, retry_of, max_failures, canary, max_per_host, unsubmitted,
    (SELECT max(id) FROM parent_job INDEXED BY parent_job_batch WHERE batch_id = :id),
    (SELECT json_object({_EACH_OUTCOME}) FROM (
        SELECT {JOB_OUTCOME} AS outcome FROM parent_job AS p INDEXED BY parent_job_batch
        WHERE p.batch_id = :id LIMIT -1))
FROM batch WHERE id = :id"""
# A retry that was not done goes on in the next one.
RETRIES = """SELECT r.retry_of, max(r.id), max(coalesce(b.retry_of = :id AND b.unsubmitted > 0 AND b.id > coalesce(
        (SELECT max(id) FROM batch WHERE retry_of = :id AND unsubmitted = 0), 0), 0))
FROM parent_job AS p INDEXED BY parent_job_batch
    CROSS JOIN parent_job AS r INDEXED BY parent_job_retry_of ON r.retry_of = p.id
    LEFT JOIN batch AS b ON b.id = r.batch_id
WHERE p.batch_id = :id GROUP BY r.retry_of"""
BATCH_SPAN = """SELECT min(started_at), iif(count(*) = count(finished_at), max(finished_at), NULL)
FROM parent_job INDEXED BY parent_job_batch WHERE batch_id = ?"""
BATCH_JOBS = f"{JOB} WHERE p.batch_id = :id"

CHANGES = """SELECT seq, at, parent_id, ordinal, kind, old, new, attempt FROM event
WHERE seq > :after ORDER BY seq LIMIT :limit"""

LAST_CHANGE = "SELECT coalesce(max(seq), 0) FROM event"

# A child has an owner while it runs, and few run: an index of owners would cost each claim more than it saves here.
RUNNING_CHILD = "child_job INDEXED BY child_job_one_running_per_target WHERE status = 'running'"
CANCEL_REQUESTS = f"""SELECT parent_id, ordinal FROM {RUNNING_CHILD}
AND owner = :owner AND cancel_requested_at IS NOT NULL AND recovering = 0"""

IS_OWNED = """SELECT EXISTS (SELECT * FROM child_job
WHERE parent_id = :parent AND ordinal = :ordinal AND owner = :owner AND attempt = :attempt AND status = 'running')"""

OWNERS_OF_RUNNING = f"SELECT owner, pid, host FROM {RUNNING_CHILD}"
OWNERS = f"SELECT id, pid, host FROM worker UNION {OWNERS_OF_RUNNING}"

_RESERVED = "child_job INDEXED BY child_job_reserved WHERE reserved_by IS NOT NULL AND finished_at IS NULL"
RUNS = f"""WITH RECURSIVE run (name) AS (
    SELECT min(reserved_by) FROM {_RESERVED}
    UNION ALL SELECT (SELECT min(reserved_by) FROM {_RESERVED} AND reserved_by > name) FROM run WHERE name IS NOT NULL)
SELECT name FROM run WHERE name IS NOT NULL"""
"""The runs for which open jobs are reserved; reads one job of each run."""

WORKERS = "SELECT id, pid, host, started_at, serves_all, pool, own_jobs, pool_size FROM worker ORDER BY started_at, id"
RUNNING = f"SELECT owner, parent_id, ordinal, started_at FROM {RUNNING_CHILD}"

IS_OPEN = "SELECT EXISTS (SELECT 1 FROM parent_job INDEXED BY parent_job_open WHERE finished_at IS NULL)"
OLDEST_PENDING = """SELECT created_at FROM parent_job
WHERE id = (
    SELECT parent_id FROM child_job INDEXED BY child_job_pending
    WHERE status = 'pending' AND reserved_by IS NULL AND held = 0 ORDER BY parent_id LIMIT 1)"""

# Run this after an error only: it reads the newest parents one by one, as this is not worth an index.
SUBMITTED = """SELECT 1 FROM parent_job
WHERE id > (SELECT max(id) FROM parent_job) - 10000 AND submission = ? LIMIT 1"""

NEWEST_OF_TARGET = "SELECT id FROM parent_job WHERE target = :target ORDER BY id DESC LIMIT :jobs"
MEASURED = "SELECT state, found FROM measured WHERE target = :target"
PAUSE = "SELECT at, by FROM pause"

COLUMNS = {
    OWNERS: ("owner", "pid", "host"),
    OWNERS_OF_RUNNING: ("owner", "pid", "host"),
    WORKERS: ("owner", "pid", "host", "at"),
    RUNNING: ("owner", "id", "ordinal", "at"),
    OLDEST_PENDING: ("at",),
    PAUSE: ("at", "by"),
    BATCH_SPAN: ("started_at", "finished_at"),
}
"""What the first columns of these are, so that they can be checked."""

BATCH_IS_OVER = """NOT EXISTS (SELECT 1 FROM parent_job AS other INDEXED BY parent_job_batch
    WHERE other.batch_id = p.batch_id AND (other.status = 'pending' OR other.status = 'running'))"""
"""The rules of an open batch count the jobs of it that have ended."""
PRUNABLE = f"""SELECT id FROM parent_job AS p INDEXED BY parent_job_status
WHERE status = :status AND finished_at IS NOT NULL AND id > :after AND finished_at < :before AND pinned = 0
    AND {BATCH_IS_OVER}
    AND id <= (SELECT id FROM parent_job WHERE created_at < :before ORDER BY created_at DESC, id DESC LIMIT 1)
    AND (SELECT count(*) FROM (
        SELECT 1 FROM parent_job AS newer WHERE newer.target = p.target AND newer.id > p.id LIMIT :keep_last
    )) >= :keep_last
ORDER BY id LIMIT :limit"""

_AT_WORK = "max(({0}.finished_at - {0}.started_at) / 1e6 - coalesce(json_extract({0}.{1}, '$.waited'), 0), 0.0)"
"""Seconds that a child or step took, without those in which it only waited for others, by its facts."""

_RUNS = f"""SELECT c.parent_id, c.ordinal, c.status, c.finished_at, {_AT_WORK.format("c", "after")},
    coalesce(json_extract(c.after, '$.size'), json_extract(c.before, '$.size')), p.options
FROM parent_job AS p INDEXED BY parent_job_target
CROSS JOIN child_job AS c INDEXED BY child_job_operation ON c.operation = :operation AND c.parent_id = p.id
WHERE p.target = :target AND p.id <= :newest AND p.id >= coalesce((
        SELECT id FROM parent_job WHERE target = :target AND id <= :newest ORDER BY id DESC LIMIT 1 OFFSET :jobs), 0)
    AND c.started_at IS NOT NULL AND c.finished_at IS NOT NULL AND {{only}}
ORDER BY p.id DESC LIMIT :runs"""
PAST_RUNS = _RUNS.format(only="(c.status <> 'completed' OR c.reason IS NULL)")
"""The newest runs of an operation on a target, up to one job, in so many of its jobs at most; but for those that
completed in part, which had less to do."""

ESTIMATED_RUNS = f"""SELECT p.target, c.operation, c.estimate, {_AT_WORK.format("c", "after")},
    json_extract(c.before, '$.size'), p.options
FROM (SELECT * FROM child_job ORDER BY parent_id DESC LIMIT :runs) AS c JOIN parent_job AS p ON p.id = c.parent_id
WHERE c.estimate IS NOT NULL AND c.status = 'completed' AND c.reason IS NULL AND c.started_at IS NOT NULL
ORDER BY c.parent_id DESC, c.ordinal"""
"""Among the newest children those that completed in full and had an estimate, the newest first."""
RUNS_BY_SIZE = ESTIMATED_RUNS.replace("c.estimate", "c.size_estimate")
"""Like `ESTIMATED_RUNS`, with the estimates by sizes alone."""
_AT_THIS_SPEED = f"coalesce(json_extract(p.options, '$.server.speed'), '{NO_SERVER_OPTIONS.speed}') = :speed"
PAST_STEPS = f"""WITH run AS (
    SELECT c.parent_id, c.ordinal, c.attempt FROM ({_RUNS.format(only=_AT_THIS_SPEED)}) AS r
    JOIN child_job AS c ON (c.parent_id, c.ordinal) = (r.parent_id, r.ordinal))
SELECT s.command, avg({_AT_WORK.format("s", "effect")}), json_extract(s.effect, '$.{COURSE}'),
    coalesce(json_extract(s.effect, '$.objects'), json_array(s.object)), max(s.started_at)
FROM run CROSS JOIN step AS s ON (s.parent_id, s.ordinal, s.attempt) = (run.parent_id, run.ordinal, run.attempt)
WHERE s.status = 'completed' GROUP BY s.command"""
"""How many seconds each command took on average, without its waits, in the steps that completed in these runs at this
speed; and the course and the objects of the newest of them. (With max() the other columns are of the same row.)"""


LAST_DONE = """SELECT operation, object, at, effect FROM (
    SELECT iif(s.operation IN ('reindex', 'rebuild'), s.operation, 'vacuum') AS operation, s.object,
        max(s.finished_at) AS at, s.effect
    FROM parent_job AS p INDEXED BY parent_job_target
    CROSS JOIN step AS s ON s.parent_id = p.id
    WHERE p.target = :target AND p.engine <> 'sqlite' AND p.id >= coalesce((
            SELECT id FROM parent_job WHERE target = :target ORDER BY id DESC LIMIT 1 OFFSET :jobs), 0)
        AND s.status = 'completed' AND s.operation IN ('vacuum', 'vacuum-full', 'repack', 'reindex', 'rebuild')
    GROUP BY 1, 2)
WHERE operation IN ('reindex', 'rebuild') OR json_extract(effect, '$.rows_kept') > 0
    OR json_extract(effect, '$.pages_covered') >= 0"""
"""What the last VACUUM of each table, where it could not remove all that was dead, its part on each index alone, and
the last rebuild of each index, or table of MariaDB and MySQL, did, in the newest jobs on a database of a server. (With
max() the other columns are of the same row.)"""

_STEPS_OF_TARGET = """SELECT s.parent_id, s.ordinal, s.operation, s.object, s.status, s.effect
    FROM parent_job AS p INDEXED BY parent_job_target CROSS JOIN step AS s ON s.parent_id = p.id
    WHERE p.target = :target AND s.status <> 'skipped' ORDER BY p.id DESC LIMIT :steps"""
OBJECT_TURNS = f"""WITH step_of AS (
    SELECT coalesce(s.operation, (
            SELECT operation FROM child_job AS c WHERE (c.parent_id, c.ordinal) = (s.parent_id, s.ordinal))) AS kind,
        s.* FROM ({_STEPS_OF_TARGET}) AS s)
SELECT kind, object, max(done), max(parent_id) FROM (
    SELECT kind, object, iif(status = 'completed', parent_id, 0) AS done, parent_id FROM step_of
    UNION ALL
    SELECT s.kind, o.value, s.parent_id, s.parent_id FROM step_of AS s, json_each(s.effect, '$.objects') AS o
    WHERE s.effect IS NOT NULL AND json_type(s.effect, '$.objects') = 'array' AND o.type = 'text')
GROUP BY kind, object"""
"""By kind of work and object: the newest job in which it completed, 0 for none, and in which it began; by the newest
steps of a target. A step on several objects lists those on which it completed."""
UNFINISHED_RUNS = """SELECT operation, parent_id FROM (
    SELECT c.operation, max(c.parent_id) AS parent_id, c.steps_left
    FROM parent_job AS p INDEXED BY parent_job_target CROSS JOIN child_job AS c ON c.parent_id = p.id
    WHERE p.target = :target AND p.id >= coalesce((
            SELECT id FROM parent_job WHERE target = :target ORDER BY id DESC LIMIT 1 OFFSET :jobs), 0)
        AND c.attempt > 0 AND c.finished_at IS NOT NULL
    GROUP BY c.operation)
WHERE steps_left > 0"""
"""By operation its newest finished run on a target, if that left steps."""

BACKUPS = """SELECT s.effect, c.warnings, c.started_at, s.finished_at
FROM parent_job AS p INDEXED BY parent_job_target
CROSS JOIN child_job AS c INDEXED BY child_job_operation ON c.operation = 'backup' AND c.parent_id = p.id
CROSS JOIN step AS s ON (s.parent_id, s.ordinal) = (c.parent_id, c.ordinal)
WHERE p.target = :target AND s.status = 'completed' AND json_type(s.effect, '$.backup') = 'text'
ORDER BY s.finished_at DESC"""
"""The steps that completed a backup of a database, in all attempts."""

OPEN_TARGETS = "SELECT DISTINCT target FROM parent_job INDEXED BY parent_job_open WHERE finished_at IS NULL"


def jobs(ids: Collection[int]) -> Query:
    """Parents with their children, in no order."""
    return _by_id(JOB, ids)


def whole_jobs(ids: Collection[int]) -> Query:
    """Parents with their children, attempts, steps and logs, in no order."""
    return _by_id(WHOLE_JOB, ids)


def _by_id(query: str, ids: Collection[int]) -> Query:
    return f"{query} WHERE p.id IN (SELECT value FROM json_each(:ids))", {"ids": json.dumps(sorted(ids))}
