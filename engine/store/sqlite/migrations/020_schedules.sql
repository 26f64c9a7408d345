-- What a worker has read of each schedule, and whether a person has disabled it.
CREATE TABLE schedule (
    name        TEXT PRIMARY KEY,
    start       TEXT NOT NULL,
    config      TEXT NOT NULL,
    since       INTEGER NOT NULL,
    disabled_at INTEGER,
    disabled_by TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- What became of each due time: one row at most, so that it fires once however many workers there are.
CREATE TABLE firing (
    schedule    TEXT NOT NULL,
    due_at      INTEGER NOT NULL,
    status      TEXT NOT NULL,
    reason      TEXT,
    error       TEXT,
    batch_id    INTEGER REFERENCES batch (id) ON DELETE SET NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (schedule, due_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX firing_batch ON firing (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX firing_newest_batch ON firing (schedule, batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX firing_due_at ON firing (due_at);

-- Which schedule a job is of.
ALTER TABLE parent_job ADD COLUMN schedule TEXT;
CREATE INDEX parent_job_schedule ON parent_job (schedule, id) WHERE schedule IS NOT NULL;

-- Before when a child does not start. Until then it is held.
ALTER TABLE child_job ADD COLUMN starts_at INTEGER;
CREATE INDEX child_job_starts ON child_job (starts_at)
WHERE status = 'pending' AND held = 1 AND starts_at IS NOT NULL;
