-- A `dbtend run` reserves its jobs: its name is here as long as no other process is to carry them out.

ALTER TABLE child_job ADD COLUMN reserved_by TEXT;
CREATE INDEX child_job_reserved ON child_job (reserved_by) WHERE reserved_by IS NOT NULL AND finished_at IS NULL;

-- What everybody may claim is found without those.
DROP INDEX child_job_pending;
DROP INDEX child_job_pending_of_target;
CREATE INDEX child_job_pending ON child_job (parent_id, ordinal) WHERE status = 'pending' AND reserved_by IS NULL;
CREATE INDEX child_job_pending_of_target ON child_job (target_key, parent_id, ordinal)
WHERE status = 'pending' AND reserved_by IS NULL;

-- That a child is no longer reserved wakes who waits for something to claim.
CREATE TABLE new_event (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    parent_id INTEGER,
    ordinal   INTEGER,
    kind      TEXT NOT NULL CHECK (kind = 'status' OR kind = 'cancel_requested' OR kind = 'released'
              OR kind = 'paused' OR kind = 'resumed'),
    old       TEXT,
    new       TEXT,
    attempt   INTEGER NOT NULL,
    CHECK ((parent_id IS NULL) = (kind = 'paused' OR kind = 'resumed')),
    CHECK ((parent_id IS NULL) = (new IS NULL))
) STRICT;
INSERT INTO new_event SELECT seq, at, parent_id, ordinal, kind, old, new, attempt FROM event;
DROP TABLE event;
ALTER TABLE new_event RENAME TO event;
