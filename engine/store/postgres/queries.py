"""The reads of the shared store: SQL for each question, one statement each."""

from __future__ import annotations

from typing import Final

from engine.domain.requests import NO_SERVER_OPTIONS
from engine.domain.statuses import LEFT_BY_WINDOW
from engine.domain.steps import COURSE
from engine.store.damage_rows import COLUMNS as DAMAGED
from engine.store.postgres.connections import Question
from engine.store.postgres.schema import LOCKS
from engine.store.rows import FIRING, JOB_COLUMNS, SCHEDULE_STATE
from engine.store.survey_rows import COLUMNS as SURVEY

_JOB: Final = f"SELECT {JOB_COLUMNS} FROM parent_job AS p JOIN child_job AS c ON c.parent_id = p.id"
_ATTEMPTS: Final = """(SELECT coalesce(json_agg(json_build_object('number', attempt, 'pid', pid, 'host', host,
    'started_at', started_at, 'finished_at', finished_at, 'status', status, 'reason', reason, 'signal', signal,
    'login', login) ORDER BY attempt), '[]')::text
    FROM attempt AS a WHERE a.parent_id = c.parent_id AND a.ordinal = c.ordinal)"""
_LOG: Final = """(SELECT coalesce(json_agg(json_build_object('number', number, 'attempt', attempt, 'at', at,
    'level', level, 'message', message, 'is_settings', is_settings) ORDER BY attempt, number), '[]')::text
    FROM log AS l WHERE l.parent_id = c.parent_id AND l.ordinal = c.ordinal)"""

WHOLE_JOB: Final = f"""SELECT {JOB_COLUMNS}, {_ATTEMPTS}, steps_of(c.parent_id, c.ordinal), {_LOG}
FROM parent_job AS p JOIN child_job AS c ON c.parent_id = p.id"""
WHOLE_JOBS: Final = f"{WHOLE_JOB} WHERE p.id = ANY (%(ids)s)"
JOBS: Final = f"{_JOB} WHERE p.id = ANY (%(ids)s)"
OPEN_JOBS: Final = f"{_JOB} WHERE p.finished_at IS NULL"
BATCH_JOBS: Final = f"{_JOB} WHERE p.batch_id = %(id)s"

CHANGES: Final = """SELECT seq, at, parent_id, ordinal, kind, old, new, attempt FROM event
WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s"""

CANCEL_REQUESTS: Final = """SELECT parent_id, ordinal FROM child_job
WHERE owner = %(owner)s AND cancel_requested_at IS NOT NULL AND NOT recovering"""
OWNED: Final = "SELECT parent_id, ordinal, attempt FROM child_job WHERE owner = %(owner)s"
IS_OWNED: Final = """SELECT EXISTS (SELECT FROM child_job WHERE parent_id = %(parent)s AND ordinal = %(ordinal)s
    AND owner = %(owner)s AND attempt = %(attempt)s AND status = 'running')"""
IS_OPEN: Final = "SELECT EXISTS (SELECT FROM parent_job WHERE finished_at IS NULL)"
HAS_PENDING: Final = """SELECT EXISTS (
    SELECT FROM claimable AS c JOIN parent_job AS j ON j.id = c.parent_id LEFT JOIN batch AS b ON b.id = j.batch_id
        LEFT JOIN limited_load AS l ON l.host_key = c.host_key
    WHERE may_claim(c, %(queues)s, %(parents)s, %(run)s, EXISTS (SELECT FROM pause))
        AND (b.max_per_host IS NULL OR b.max_per_host > coalesce(l.running, 0)))"""
PAUSE: Final = "SELECT at, by FROM pause"
DRAINED: Final = "SELECT host, at, by FROM drained_host ORDER BY host"

LIVES: Final = f"""EXISTS (
    SELECT FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = {LOCKS["WORKERS"]}
        AND l.objid = w.number AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""
"""Whether a session holds the lock of a worker."""
DEAD_WORKERS: Final = f"SELECT id, is_run, signal FROM worker AS w WHERE NOT {LIVES}"
TO_LOOK_AFTER: Final = f"""SELECT EXISTS (SELECT FROM worker AS w WHERE NOT {LIVES}),
    EXISTS (SELECT FROM parent_job
        WHERE deadline_at <= coalesce(%(at)s, now_micros()) AND deadline_at IS NOT NULL AND finished_at IS NULL)
    OR EXISTS (SELECT FROM child_job
        WHERE status = 'pending' AND held AND starts_at <= coalesce(%(at)s, now_micros()) AND starts_at IS NOT NULL)"""
"""Whether a process is dead, and whether a time limit or a time to start has come."""
RUN_BY: Final = """SELECT c.parent_id, c.ordinal, p.engine, p.target
FROM child_job AS c JOIN parent_job AS p ON p.id = c.parent_id WHERE c.owner = %(owner)s"""
RESCUE: Final = "SELECT parent_id, ordinal FROM rescue(%s, %s, %s, %s, %s)"

OPEN_TARGETS: Final = "SELECT DISTINCT target FROM parent_job WHERE finished_at IS NULL"
MEASURED: Final = "SELECT state, found FROM measured WHERE target = %(target)s"

WORKERS: Final = f"""SELECT id, pid, host, started_at, serves_all, pool, own_jobs, beat_at, now_micros(), {LIVES},
    version, queues, serves_all AND EXISTS (SELECT FROM drained_host AS d WHERE d.host = w.host), pool_size
FROM worker AS w WHERE NOT is_run ORDER BY started_at, id"""
RUNNING: Final = "SELECT owner, parent_id, ordinal, started_at FROM child_job WHERE owner IS NOT NULL"
KEY_OF: Final = """SELECT target_key FROM parent_job
WHERE target = %(target)s AND started_at IS NOT NULL ORDER BY id DESC LIMIT 1"""
_UNSERVED: Final = f"""due AND NOT held AND reserved_by IS NULL AND queue <> ALL (%(ours)s) AND queue NOT IN (
    SELECT unnest(queues) FROM worker AS w
    WHERE serves_all AND host NOT IN (SELECT host FROM drained_host) AND {LIVES})"""
UNSERVED: Final = f"""SELECT queue, array_agg(DISTINCT parent_id ORDER BY parent_id) FROM child_job
WHERE {_UNSERVED} GROUP BY queue ORDER BY queue"""
IS_SERVED: Final = f"""SELECT EXISTS (SELECT FROM parent_job
WHERE finished_at IS NULL AND id NOT IN (SELECT parent_id FROM child_job WHERE {_UNSERVED}))"""
OLDEST_PENDING: Final = """SELECT created_at FROM parent_job WHERE id = (
    SELECT min(parent_id) FROM child_job WHERE due AND NOT held AND reserved_by IS NULL)"""

_LEFT_OUT: Final = "(c.status = 'skipped' AND c.reason IS DISTINCT FROM 'not_needed')"
BY_WINDOW: Final = ", ".join(f"'{reason}'" for reason in sorted(LEFT_BY_WINDOW))
_IN_PART: Final = f"({_LEFT_OUT} OR (c.status = 'completed' AND c.reason IN ({BY_WINDOW})))"
_CHILD: Final = "SELECT FROM child_job AS c WHERE c.parent_id = p.id"
_INTERRUPTED: Final = f"""p.finished_at IS NULL AND EXISTS ({_CHILD} AND c.status = 'pending' AND c.attempt > 0)
    AND NOT EXISTS ({_CHILD} AND c.status = 'running')"""
JOB_OUTCOME: Final = f"""CASE
    WHEN p.status = 'failed' AND EXISTS ({_CHILD} AND c.reason = 'unreachable') THEN 'unreachable'
    WHEN p.status = 'failed' AND NOT EXISTS ({_CHILD} AND (c.status = 'cancelled' OR {_IN_PART} OR has_failed(c)))
        THEN 'inconsistent'
    WHEN {_INTERRUPTED} THEN 'interrupted'
    WHEN p.status <> 'completed' THEN p.status
    WHEN NOT EXISTS ({_CHILD} AND NOT {_LEFT_OUT}) THEN 'skipped'
    WHEN EXISTS ({_CHILD} AND {_IN_PART}) THEN 'partial'
    ELSE 'completed' END"""
"""The outcome of a parent, as `outcome_of` has it."""
BATCH: Final = f"""SELECT id, created_at, retry_of, max_failures, canary, max_per_host, unsubmitted,
    (SELECT max(id) FROM parent_job WHERE batch_id = %(id)s),
    (SELECT coalesce(json_object_agg(outcome, number), '{{}}')::text FROM (
        SELECT {JOB_OUTCOME} AS outcome, count(*) AS number FROM parent_job AS p WHERE p.batch_id = %(id)s
        GROUP BY 1) AS counted)
FROM batch WHERE id = %(id)s"""
# A retry that was not done goes on in the next one.
RETRIES: Final = """SELECT r.retry_of, max(r.id), bool_or(coalesce(b.retry_of = %(id)s AND b.unsubmitted > 0
    AND b.id > coalesce((SELECT max(id) FROM batch WHERE retry_of = %(id)s AND unsubmitted = 0), 0), false))
FROM parent_job AS p JOIN parent_job AS r ON r.retry_of = p.id LEFT JOIN batch AS b ON b.id = r.batch_id
WHERE p.batch_id = %(id)s GROUP BY r.retry_of"""
BATCH_SPAN: Final = """SELECT min(started_at), CASE WHEN count(*) = count(finished_at) THEN max(finished_at) END
FROM parent_job WHERE batch_id = %(id)s"""

PRUNABLE: Final = """SELECT id FROM parent_job AS p
WHERE status = %(status)s AND finished_at IS NOT NULL AND id > %(after)s AND finished_at < %(before)s AND NOT pinned
    AND NOT EXISTS (SELECT FROM parent_job AS other
        WHERE other.batch_id = p.batch_id AND other.status IN ('pending', 'running'))
    AND id <= (
        SELECT id FROM parent_job WHERE created_at < %(before)s ORDER BY created_at DESC, id DESC LIMIT 1)
    AND (SELECT count(*) FROM (
        SELECT FROM parent_job AS newer WHERE newer.target = p.target AND newer.id > p.id LIMIT %(keep_last)s
    ) AS newer) >= %(keep_last)s
ORDER BY id LIMIT %(limit)s"""

_AT_WORK: Final = (
    "greatest(({0}.finished_at - {0}.started_at) / 1e6 - coalesce(number_of({0}.{1}, 'waited'), 0), 0)::float8"
)
"""Seconds that a child or step took, without those in which it only waited for others, by its facts."""
_SINCE: Final = """coalesce((
    SELECT id FROM parent_job WHERE target = %(target)s AND id <= %(newest)s
    ORDER BY id DESC LIMIT 1 OFFSET %(jobs)s), 0)"""
_RUNS: Final = f"""SELECT c.parent_id, c.ordinal, c.status, c.finished_at, {_AT_WORK.format("c", "after")},
    coalesce(number_of(c.after, 'size'), number_of(c.before, 'size')), p.options
FROM parent_job AS p JOIN child_job AS c ON c.operation = %(operation)s AND c.parent_id = p.id
WHERE p.target = %(target)s AND p.id <= %(newest)s AND p.id >= {_SINCE}
    AND c.started_at IS NOT NULL AND c.finished_at IS NOT NULL AND {{only}}
ORDER BY p.id DESC, c.ordinal LIMIT %(runs)s"""
PAST_RUNS: Final = _RUNS.format(only="(c.status <> 'completed' OR c.reason IS NULL)")
"""The newest runs of an operation on a target, up to one job, in so many of its jobs at most; but for those that
completed in part, which had less to do."""
ESTIMATED_RUNS: Final = f"""SELECT p.target, c.operation, c.estimate, {_AT_WORK.format("c", "after")},
    number_of(c.before, 'size'), p.options
FROM (SELECT * FROM child_job ORDER BY parent_id DESC, ordinal LIMIT %(runs)s) AS c
    JOIN parent_job AS p ON p.id = c.parent_id
WHERE c.estimate IS NOT NULL AND c.status = 'completed' AND c.reason IS NULL AND c.started_at IS NOT NULL
ORDER BY c.parent_id DESC, c.ordinal"""
"""Among the newest children those that completed in full and had an estimate, the newest first."""
RUNS_BY_SIZE: Final = ESTIMATED_RUNS.replace("c.estimate", "c.size_estimate")
"""Like `ESTIMATED_RUNS`, with the estimates by sizes alone."""
_AT_THIS_SPEED: Final = f"coalesce(p.options::jsonb #>> '{{server,speed}}', '{NO_SERVER_OPTIONS.speed}') = %(speed)s"
PAST_STEPS: Final = f"""WITH run AS (
    SELECT c.parent_id, c.ordinal, c.attempt FROM ({_RUNS.format(only=_AT_THIS_SPEED)}) AS r
    JOIN child_job AS c ON (c.parent_id, c.ordinal) = (r.parent_id, r.ordinal))
SELECT s.command, avg({_AT_WORK.format("s", "effect")}),
    (array_agg(s.effect::jsonb ->> '{COURSE}' ORDER BY s.started_at DESC))[1],
    (array_agg(coalesce(s.effect::jsonb ->> 'objects', json_build_array(s.object)::text) ORDER BY s.started_at DESC))[1]
FROM run JOIN step AS s ON (s.parent_id, s.ordinal, s.attempt) = (run.parent_id, run.ordinal, run.attempt)
WHERE s.status = 'completed' GROUP BY s.command"""
"""How many seconds each command took on average, without its waits, in the steps that completed in these runs at this
speed; and the course and the objects of the newest of them."""

LAST_DONE: Final = """SELECT kind, object, finished_at, effect FROM (
    SELECT DISTINCT ON (kind, s.object) kind, s.object, s.finished_at, s.effect
    FROM parent_job AS p JOIN step AS s ON s.parent_id = p.id
        CROSS JOIN LATERAL (
            SELECT CASE WHEN s.operation IN ('reindex', 'rebuild') THEN s.operation ELSE 'vacuum' END) AS k (kind)
    WHERE p.target = %(target)s AND p.engine <> 'sqlite' AND p.id >= coalesce((
            SELECT id FROM parent_job WHERE target = %(target)s ORDER BY id DESC LIMIT 1 OFFSET %(jobs)s), 0)
        AND s.status = 'completed' AND s.operation IN ('vacuum', 'vacuum-full', 'repack', 'reindex', 'rebuild')
    ORDER BY kind, s.object, s.finished_at DESC) AS newest
WHERE kind IN ('reindex', 'rebuild') OR number_of(effect, 'rows_kept') > 0 OR number_of(effect, 'pages_covered') >= 0"""
"""What the last VACUUM of each table, where it could not remove all that was dead, its part on each index alone, and
the last rebuild of each index, or table of MariaDB and MySQL, did, in the newest jobs on a database of a server."""

OBJECT_TURNS: Final = """WITH step_of AS (
    SELECT coalesce(s.operation, (
            SELECT operation FROM child_job AS c WHERE (c.parent_id, c.ordinal) = (s.parent_id, s.ordinal))) AS kind,
        s.parent_id, s.object, s.status, s.effect
    FROM parent_job AS p JOIN step AS s ON s.parent_id = p.id
    WHERE p.target = %(target)s AND s.status <> 'skipped' ORDER BY p.id DESC LIMIT %(steps)s)
SELECT kind, object, max(done), max(parent_id) FROM (
    SELECT kind, object, CASE WHEN status = 'completed' THEN parent_id ELSE 0 END AS done, parent_id FROM step_of
    UNION ALL
    SELECT s.kind, o #>> '{}', s.parent_id, s.parent_id
    FROM step_of AS s CROSS JOIN LATERAL jsonb_array_elements(
        CASE jsonb_typeof(s.effect::jsonb -> 'objects') WHEN 'array' THEN s.effect::jsonb -> 'objects'
            ELSE '[]' END) AS o
    WHERE jsonb_typeof(o) = 'string') AS works
GROUP BY kind, object"""
"""By kind of work and object: the newest job in which it completed, 0 for none, and in which it began; by the newest
steps of a target. A step on several objects lists those on which it completed."""
UNFINISHED_RUNS: Final = """SELECT operation, parent_id FROM (
    SELECT DISTINCT ON (c.operation) c.operation, c.parent_id, c.steps_left
    FROM parent_job AS p JOIN child_job AS c ON c.parent_id = p.id
    WHERE p.target = %(target)s AND p.id >= coalesce((
            SELECT id FROM parent_job WHERE target = %(target)s ORDER BY id DESC LIMIT 1 OFFSET %(jobs)s), 0)
        AND c.attempt > 0 AND c.finished_at IS NOT NULL
    ORDER BY c.operation, c.parent_id DESC, c.ordinal DESC) AS newest
WHERE steps_left > 0"""
"""By operation its newest finished run on a target, if that left steps."""

BACKUPS: Final = """SELECT s.effect, c.warnings, c.started_at, s.finished_at
FROM parent_job AS p JOIN child_job AS c ON c.operation = 'backup' AND c.parent_id = p.id
    JOIN step AS s ON (s.parent_id, s.ordinal) = (c.parent_id, c.ordinal)
WHERE p.target = %(target)s AND s.status = 'completed' AND jsonb_typeof(s.effect::jsonb -> 'backup') = 'string'
ORDER BY s.finished_at DESC"""
"""The steps that completed a backup of a database, in all attempts."""

SCHEDULE_STATES: Final = f"SELECT {', '.join(SCHEDULE_STATE)} FROM schedule"
FIRINGS: Final = f"""SELECT {", ".join(FIRING)} FROM firing
WHERE (%(schedule)s::text IS NULL OR schedule = %(schedule)s) AND due_at >= %(since)s AND due_at <= %(until)s
ORDER BY due_at DESC, schedule LIMIT %(limit)s"""
LAST_HANDLED: Final = """SELECT due_at FROM firing
WHERE schedule = %(schedule)s AND due_at <= %(now)s AND reason IS DISTINCT FROM 'by_hand'
    AND NOT (status = 'missed' AND recorded_at > %(now)s)
ORDER BY due_at DESC LIMIT 1"""
LAST_FIRED: Final = """SELECT due_at FROM firing
WHERE schedule = %(schedule)s AND due_at >= %(since)s AND status = 'fired' ORDER BY due_at DESC LIMIT 1"""
FIRE: Final = f"SELECT {', '.join(FIRING)} FROM fire(%s, %s, %s, %s, %s, %s, %s)"
RECORD_FIRINGS: Final = f"SELECT {', '.join(FIRING)} FROM record_firings(%s)"

DAMAGE: Final = f"""SELECT {", ".join(DAMAGED)} FROM damage
WHERE target = ANY (%(targets)s) ORDER BY found_at, object"""
HAS_DAMAGED_SERVERS: Final = "SELECT EXISTS (SELECT FROM damage WHERE target NOT LIKE 'sqlite:%%')"
NAMES: Final = "SELECT target, database FROM database_name WHERE target = %(target)s OR database = %(database)s"
SURVEYS: Final = f"SELECT {', '.join(SURVEY)} FROM survey WHERE target = ANY (%(targets)s)"
SURVEYED: Final = """SELECT target FROM survey
WHERE starts_with(target, %(beginning)s) AND surveyed_at >= %(since)s ORDER BY target"""
KNOWN: Final = """SELECT target FROM survey WHERE size > 0
UNION SELECT target FROM last_run WHERE completed_at IS NOT NULL"""
LAST_JOBS: Final = f"""SELECT wanted, p.id, {JOB_OUTCOME}, p.finished_at,
    (SELECT max(finished_at) FROM parent_job WHERE target = wanted AND started_at IS NOT NULL),
    (SELECT coalesce(json_agg(json_build_array(id, (
            SELECT count(*) FROM child_job AS c WHERE c.parent_id = r.id AND c.reason IN ({BY_WINDOW})) > 0)
            ORDER BY id DESC), '[]')::text
        FROM (SELECT id FROM parent_job AS j WHERE target = wanted AND started_at IS NOT NULL AND EXISTS (
                SELECT FROM child_job AS c WHERE c.parent_id = j.id AND c.started_at IS NOT NULL
                    AND (c.status <> 'skipped' OR coalesce(c.reason, '') NOT IN ({BY_WINDOW})))
            ORDER BY id DESC LIMIT 2) AS r)
FROM unnest(%(targets)s::text[]) AS wanted
JOIN parent_job AS p ON p.id = (SELECT max(id) FROM parent_job WHERE target = wanted)"""

REGISTER: Final = "SELECT register_worker(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
OWNER_OF: Final = f"""SELECT w.host, w.machine FROM child_job AS c JOIN worker AS w ON w.id = c.owner
WHERE (c.parent_id, c.ordinal) = (%(parent)s, %(ordinal)s) AND w.id = %(owner)s AND w.pid = %(pid)s AND {LIVES}"""
"""The host and the machine of a live process that runs a child."""
ENDED: Final = """SELECT id FROM parent_job WHERE finished_at >= %(since)s ORDER BY id DESC LIMIT %(limit)s"""


HAS_NAMESAKE: Final = f"""SELECT EXISTS (SELECT FROM worker AS w
    WHERE w.host = %(host)s AND is_other_machine(w.machine, %(machine)s) AND {LIVES})"""
"""Whether a process of another machine works under the name of a host."""


def has_namesake(host: str, machine: str) -> Question:
    """Asks whether another machine works under the name of a host."""
    return HAS_NAMESAKE, {"host": host, "machine": machine}
