"""Embedded stores with a long history, made quickly."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from engine.store.sqlite.schema import drop_triggers, migrate, triggers

_BATCHES = "INSERT INTO batch (id, created_at, canary) SELECT i, i * 1000, 1 FROM n WHERE i % 10 = 0"
_PARENTS = """INSERT INTO parent_job (id, target, target_key, engine, operations, options, status, retry_of, created_at,
    changed_at, started_at, finished_at, batch_id, pinned, schedule)
SELECT i, iif(i % 5 = 0, 'postgresql://db1/shop', 'sqlite:///srv/t' || (i % 200) || '.db'), 'key of ' || (i % 200),
    iif(i % 5 = 0, 'postgresql', 'sqlite'), '["vacuum", "analyze"]', '{"lock_timeout": 5.0, "on_failure": "continue"}',
    iif(i % 9 = 0, 'failed', 'completed'), iif(i % 50 = 0, i - 1, NULL), i * 1000, i * 1000 + 9, i * 1000 + 1,
    i * 1000 + 9, iif(i >= 10, i / 10 * 10, NULL), i % 7 = 0, iif(i % 3 = 0, 'nightly', NULL) FROM n"""
_CHILDREN = r"""INSERT INTO child_job (parent_id, ordinal, target_key, operation, status, attempt, changed_at,
    started_at, finished_at, fraction, object, steps_done, steps_total, before, after, pid, host, estimate, error,
    reason)
SELECT p.id, o.value, target_key, iif(o.value = 1, 'vacuum', 'analyze'),
    iif(p.status = 'failed' AND o.value = 2, 'failed', 'completed'), 1, changed_at, started_at, finished_at,
    1.0 / 3, 'täble \ 😀' || char(9), 1, 1, '{"size": 40960}',
    '{"note": "a\u0000b", "half": "\ud83d"}', 4711, 'desk', 0.1 * o.value,
    iif(p.status = 'failed', 'it broke' || char(10) || '\N', NULL), NULL
FROM parent_job AS p, json_each('[1, 2]') AS o"""
_STEPS = """INSERT INTO step (parent_id, ordinal, attempt, number, object, command, status, started_at, finished_at,
    effect, operation) SELECT parent_id, ordinal, 1, s.value, 'main', 'VACUUM', 'completed', started_at, finished_at,
    '{"size": 1}', operation FROM child_job, json_each('[1, 2]') AS s"""
_LOG = """INSERT INTO log (parent_id, ordinal, attempt, number, at, level, message, is_settings)
SELECT parent_id, ordinal, 1, 1, started_at, 'info', 'line' || char(10) || char(0), 1 FROM child_job"""
_OTHERS = """
INSERT INTO attempt SELECT id, 1, 1, 5, 'desk', 1, 2, 'failed', 'owner_lost', 9 FROM parent_job WHERE id % 11 = 0;
INSERT INTO event (at, parent_id, ordinal, kind, old, new, attempt)
    SELECT created_at, p.id, NULL, 'status', o.value, 'completed', 0 FROM parent_job AS p,
        json_each('["pending", "running"]') AS o;
INSERT INTO event (at, kind, attempt) VALUES (1, 'paused', 0);
INSERT INTO schedule VALUES ('nightly', 'daily', '/etc/dbtend', 1, 2, 'ann@desk');
INSERT INTO firing SELECT 'nightly', id, 'fired', NULL, NULL, id, id, 1 FROM batch;
INSERT INTO recipient VALUES ('ops', 7, 1);
INSERT INTO message (key, recipient, status, created_at, next_try_at) VALUES ('k', 'ops', 'waiting', 1, 1);
INSERT INTO notification (recipient, message_id, kind, at, target, schedule, facts, created_at)
    VALUES ('ops', 1, 'failed', 1, 'sqlite:///srv/t1.db', '', '{}', 1);
INSERT INTO survey VALUES ('sqlite:///srv/t1.db', 'sqlite', 1, 'ok', NULL, 1, 2, NULL, '{}');
INSERT INTO measured VALUES ('sqlite:///srv/t1.db', 's', 1, '{}');
INSERT INTO damage VALUES ('sqlite:///srv/t1.db', 'idx', 'check', 1, '{}');
INSERT INTO told_critical VALUES ('ops', 'sqlite:///srv/t1.db', 1);
INSERT INTO last_run (target, operation, status, finished_at)
    SELECT DISTINCT target, 'vacuum', 'completed', 9 FROM parent_job;
"""


def make_history(path: Path, jobs: int) -> Path:
    """An embedded store with so many jobs that are over, and something in every table."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {jobs})"
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("BEGIN")
        migrate(file, str(path))
        drop_triggers(file)
        for statement in (
            f"{numbers} {_BATCHES}",
            f"{numbers} {_PARENTS}",
            _CHILDREN.replace("NaN", "1"),
            _STEPS,
            _LOG,
        ):
            file.execute(statement)
        for statement in _OTHERS.split(";"):
            file.execute(statement)
        for trigger in triggers():
            file.execute(trigger)
        file.execute("COMMIT")
    path.chmod(0o600)
    return path
