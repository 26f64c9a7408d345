-- Attempts, time limits, pause, pins; and events that concern the store as a whole.

ALTER TABLE parent_job ADD COLUMN deadline_at INTEGER; -- from then on no child starts
ALTER TABLE parent_job ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned = 0 OR pinned = 1);
CREATE INDEX parent_job_deadline ON parent_job (deadline_at) WHERE deadline_at IS NOT NULL AND finished_at IS NULL;

ALTER TABLE child_job ADD COLUMN pid INTEGER; -- the process that runs it, or ran it last
ALTER TABLE child_job ADD COLUMN host TEXT;
ALTER TABLE child_job ADD COLUMN phase TEXT;
ALTER TABLE child_job ADD COLUMN cancel_reason TEXT CHECK (cancel_reason IS NULL
    OR cancel_reason = 'cancelled_by_user' OR cancel_reason = 'time_limit' OR cancel_reason = 'shutdown');

-- Until now a child that was handed back kept what belongs to its attempt.
UPDATE child_job SET started_at = NULL, fraction = NULL, object = NULL, steps_done = 0, steps_total = 0
    WHERE status = 'pending';

-- Claims also go from target to target; the check for duplicates also compares what was asked for.
CREATE INDEX child_job_pending_of_target ON child_job (target_key, parent_id, ordinal) WHERE status = 'pending';
DROP INDEX parent_job_open;
CREATE INDEX parent_job_open ON parent_job (target_key, operations, options) WHERE finished_at IS NULL;

CREATE INDEX child_job_skipped ON child_job (parent_id) WHERE status = 'skipped';

-- Executions that ended without ending the child: the last one is told by the child itself.
CREATE TABLE attempt (
    parent_id   INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    pid         INTEGER,
    host        TEXT,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status = 'failed' OR status = 'cancelled'),
    reason      TEXT NOT NULL CHECK (reason = 'owner_lost' OR reason = 'shutdown'),
    PRIMARY KEY (parent_id, ordinal, attempt),
    FOREIGN KEY (parent_id, ordinal) REFERENCES child_job (parent_id, ordinal) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Whether a process takes on every job, or only its own.
ALTER TABLE worker ADD COLUMN serves_all INTEGER NOT NULL DEFAULT 1 CHECK (serves_all = 0 OR serves_all = 1);

-- While there is a row, nothing new starts.
CREATE TABLE pause (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT;

-- parent_id and new are NULL where it is the store that was paused or resumed.
CREATE TABLE new_event (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    parent_id INTEGER,
    ordinal   INTEGER,
    kind      TEXT NOT NULL
              CHECK (kind = 'status' OR kind = 'cancel_requested' OR kind = 'paused' OR kind = 'resumed'),
    old       TEXT,
    new       TEXT,
    attempt   INTEGER NOT NULL,
    CHECK ((parent_id IS NULL) = (kind = 'paused' OR kind = 'resumed')),
    CHECK ((parent_id IS NULL) = (new IS NULL))
) STRICT;
INSERT INTO new_event SELECT seq, at, parent_id, ordinal, kind, old, new, attempt FROM event;
DROP TABLE event;
ALTER TABLE new_event RENAME TO event;
