-- The durable record of jobs. Times are microseconds since the epoch, UTC.
-- Legal transitions and the event log are enforced by triggers that schema.py generates from engine/domain/statuses.py.
-- The statuses are written out as `=` chains: for an IN list SQLite builds a temporary b-tree at every write.

CREATE TABLE parent_job (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT, -- ids are in time order and are never used again
    type                TEXT NOT NULL DEFAULT 'database_maintenance_parent'
                        CHECK (type = 'database_maintenance_parent'),
    target              TEXT NOT NULL CHECK (target <> ''), -- canonical URL, as shown
    target_key          TEXT NOT NULL CHECK (target_key <> ''), -- what mutual exclusion goes by
    engine              TEXT NOT NULL,
    operations          TEXT NOT NULL CHECK (json_array_length(operations) > 0),
    options             TEXT NOT NULL CHECK (json_valid(options)),
    status              TEXT NOT NULL DEFAULT 'pending'
                        CHECK (status = 'pending' OR status = 'running' OR status = 'completed'
                            OR status = 'failed' OR status = 'cancelled'),
    retry_of            INTEGER REFERENCES parent_job (id) ON DELETE SET NULL,
    created_at          INTEGER NOT NULL,
    changed_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    cancel_requested_at INTEGER,
    CHECK ((finished_at IS NULL) = (status = 'pending' OR status = 'running'))
) STRICT;

CREATE TABLE child_job (
    parent_id           INTEGER NOT NULL REFERENCES parent_job (id) ON DELETE CASCADE,
    ordinal             INTEGER NOT NULL CHECK (ordinal > 0),
    type                TEXT NOT NULL DEFAULT 'database_maintenance_operation'
                        CHECK (type = 'database_maintenance_operation'),
    target_key          TEXT NOT NULL,
    operation           TEXT NOT NULL,
    status              TEXT NOT NULL DEFAULT 'pending'
                        CHECK (status = 'pending' OR status = 'running' OR status = 'completed'
                            OR status = 'failed' OR status = 'cancelled' OR status = 'skipped'),
    reason              TEXT CHECK (reason IS NULL OR reason IN (
                            'operation_error', 'invalid', 'not_supported', 'refused', 'not_needed', 'time_limit',
                            'previous_failed', 'owner_lost', 'cancelled_by_user', 'shutdown', 'target_busy')),
    error               TEXT,
    warnings            TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(warnings)),
    attempt             INTEGER NOT NULL DEFAULT 0, -- executions begun; with owner, the fencing token
    max_attempts        INTEGER NOT NULL DEFAULT 2,
    owner               TEXT, -- the worker process that runs it; a running row is the lock on its target
    changed_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    cancel_requested_at INTEGER,
    fraction            REAL CHECK (fraction BETWEEN 0 AND 1),
    object              TEXT,
    steps_done          INTEGER NOT NULL DEFAULT 0,
    steps_total         INTEGER NOT NULL DEFAULT 0,
    before              TEXT CHECK (json_valid(before)),
    after               TEXT CHECK (json_valid(after)),
    PRIMARY KEY (parent_id, ordinal),
    CHECK ((finished_at IS NULL) = (status = 'pending' OR status = 'running')),
    CHECK ((owner IS NOT NULL) = (status = 'running'))
) STRICT, WITHOUT ROWID;

CREATE TABLE step (
    parent_id   INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    object      TEXT NOT NULL,
    command     TEXT NOT NULL,
    status      TEXT NOT NULL
                CHECK (status IN ('running', 'completed', 'failed', 'cancelled', 'skipped')),
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    error       TEXT,
    PRIMARY KEY (parent_id, ordinal, attempt, number),
    FOREIGN KEY (parent_id, ordinal) REFERENCES child_job (parent_id, ordinal) ON DELETE CASCADE,
    CHECK ((finished_at IS NOT NULL) = (status <> 'running'))
) STRICT, WITHOUT ROWID;

CREATE TABLE log (
    parent_id INTEGER NOT NULL,
    ordinal   INTEGER NOT NULL,
    attempt   INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    level     TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    message   TEXT NOT NULL,
    PRIMARY KEY (parent_id, ordinal, attempt, number),
    FOREIGN KEY (parent_id, ordinal) REFERENCES child_job (parent_id, ordinal) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- One row for everything that happened to a job, in commit order; ordinal is NULL for the parent itself.
CREATE TABLE event (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    parent_id INTEGER NOT NULL,
    ordinal   INTEGER,
    kind      TEXT NOT NULL CHECK (kind IN ('status', 'cancel_requested')),
    old       TEXT,
    new       TEXT NOT NULL,
    attempt   INTEGER NOT NULL
) STRICT;

-- Processes that execute children. That one is alive is proven by the lock it holds on its own file.
CREATE TABLE worker (
    id         TEXT PRIMARY KEY,
    pid        INTEGER NOT NULL,
    host       TEXT NOT NULL,
    started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX child_job_one_running_per_target ON child_job (target_key) WHERE status = 'running';
CREATE INDEX child_job_pending ON child_job (parent_id, ordinal) WHERE status = 'pending';
CREATE INDEX child_job_owner ON child_job (owner) WHERE owner IS NOT NULL;
CREATE INDEX child_job_error ON child_job (parent_id) WHERE error IS NOT NULL;
CREATE INDEX parent_job_open ON parent_job (target_key) WHERE finished_at IS NULL;
-- Only of jobs that are over: a job that moves on would be taken out of and put into these again and again.
CREATE INDEX parent_job_status ON parent_job (status, id) WHERE finished_at IS NOT NULL;
CREATE INDEX parent_job_target_status ON parent_job (target, status, id) WHERE finished_at IS NOT NULL;
CREATE INDEX parent_job_target ON parent_job (target, id);
CREATE INDEX parent_job_created ON parent_job (created_at, id);
CREATE INDEX parent_job_retry_of ON parent_job (retry_of) WHERE retry_of IS NOT NULL;
