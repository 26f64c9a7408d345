"""The reads of the shared store: SQL for each question, one statement each."""

from __future__ import annotations

from typing import Final

from engine.store.postgres.schema import LOCKS
from engine.store.rows import JOB_COLUMNS

_JOB: Final = f"SELECT {JOB_COLUMNS} FROM parent_job AS p JOIN child_job AS c ON c.parent_id = p.id"
_ATTEMPTS: Final = """(SELECT coalesce(json_agg(json_build_object('number', attempt, 'pid', pid, 'host', host,
    'started_at', started_at, 'finished_at', finished_at, 'status', status, 'reason', reason, 'signal', signal)
    ORDER BY attempt), '[]')::text
    FROM attempt AS a WHERE a.parent_id = c.parent_id AND a.ordinal = c.ordinal)"""
_LOG: Final = """(SELECT coalesce(json_agg(json_build_object('number', number, 'attempt', attempt, 'at', at,
    'level', level, 'message', message, 'is_settings', is_settings) ORDER BY attempt, number), '[]')::text
    FROM log AS l WHERE l.parent_id = c.parent_id AND l.ordinal = c.ordinal)"""

ONE_JOB: Final = f"""SELECT {JOB_COLUMNS}, {_ATTEMPTS}, steps_of(c.parent_id, c.ordinal), {_LOG}
FROM parent_job AS p JOIN child_job AS c ON c.parent_id = p.id WHERE p.id = %(id)s"""
JOBS: Final = f"{_JOB} WHERE p.id = ANY (%(ids)s)"
OPEN_JOBS: Final = f"{_JOB} WHERE p.finished_at IS NULL"
BATCH_JOBS: Final = f"{_JOB} WHERE p.batch_id = %(id)s"

CHANGES: Final = """SELECT seq, at, parent_id, ordinal, kind, old, new, attempt FROM event
WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s"""

CANCEL_REQUESTS: Final = """SELECT parent_id, ordinal FROM child_job
WHERE owner = %(owner)s AND cancel_requested_at IS NOT NULL AND NOT recovering"""
IS_OPEN: Final = "SELECT EXISTS (SELECT FROM parent_job WHERE finished_at IS NULL)"
HAS_PENDING: Final = """SELECT EXISTS (
    SELECT FROM claimable AS c
    WHERE may_claim(c, %(queues)s, %(parents)s, %(run)s, EXISTS (SELECT FROM pause)))"""
PAUSE: Final = "SELECT at, by FROM pause"
SUBMITTED: Final = "SELECT id FROM parent_job WHERE submission = %(submission)s ORDER BY id"

DEAD_WORKERS: Final = f"""SELECT id, is_run, signal FROM worker AS w WHERE NOT EXISTS (
    SELECT FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = {LOCKS["WORKERS"]}
        AND l.objid = w.number AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""
RUN_BY: Final = """SELECT c.parent_id, c.ordinal, p.engine, p.target
FROM child_job AS c JOIN parent_job AS p ON p.id = c.parent_id WHERE c.owner = %(owner)s"""
RESCUE: Final = "SELECT parent_id, ordinal FROM rescue(%s, %s, %s, %s, %s)"
