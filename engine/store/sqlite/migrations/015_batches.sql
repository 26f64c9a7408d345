-- One request on many targets. A batch goes with its last job (a trigger).
CREATE TABLE batch (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at   INTEGER NOT NULL,
    retry_of     INTEGER REFERENCES batch (id) ON DELETE SET NULL,
    max_failures INTEGER CHECK (max_failures > 0),
    canary       INTEGER CHECK (canary > 0),
    max_per_host INTEGER CHECK (max_per_host > 0)
) STRICT;
CREATE INDEX batch_retry_of ON batch (retry_of) WHERE retry_of IS NOT NULL;

ALTER TABLE parent_job ADD COLUMN batch_id INTEGER REFERENCES batch (id);
-- Whether its batch runs it first.
ALTER TABLE parent_job ADD COLUMN canary INTEGER NOT NULL DEFAULT 0 CHECK (canary = 0 OR canary = 1);
CREATE INDEX parent_job_batch ON parent_job (batch_id, status) WHERE batch_id IS NOT NULL;
CREATE INDEX parent_job_canary ON parent_job (batch_id, status) WHERE canary = 1;

-- Whether it waits for the canaries of its batch; and its server, of which a batch may limit the load.
ALTER TABLE child_job ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held = 0 OR held = 1);
ALTER TABLE child_job ADD COLUMN host_key TEXT;
CREATE INDEX child_job_running_on_host ON child_job (host_key) WHERE status = 'running' AND host_key IS NOT NULL;
DROP INDEX child_job_pending;
DROP INDEX child_job_pending_of_target;
CREATE INDEX child_job_pending ON child_job (parent_id, ordinal)
WHERE status = 'pending' AND reserved_by IS NULL AND held = 0;
CREATE INDEX child_job_pending_of_target ON child_job (target_key, parent_id, ordinal)
WHERE status = 'pending' AND reserved_by IS NULL AND held = 0;

CREATE INDEX child_job_pending_of_run ON child_job (reserved_by, parent_id, ordinal)
WHERE status = 'pending' AND reserved_by IS NOT NULL AND held = 0;

-- Reasons are checked by triggers, as operations are: a CHECK cannot learn a word.
DROP INDEX child_job_error;
DROP INDEX child_job_skipped;
ALTER TABLE child_job ADD COLUMN new_reason TEXT;
UPDATE child_job SET new_reason = reason WHERE reason IS NOT NULL;
ALTER TABLE child_job DROP COLUMN reason;
ALTER TABLE child_job RENAME COLUMN new_reason TO reason;
CREATE INDEX child_job_error ON child_job (parent_id, error, reason) WHERE error IS NOT NULL OR reason IS NOT NULL;
CREATE INDEX child_job_skipped ON child_job (parent_id, status, reason)
WHERE status = 'skipped' OR (status = 'completed' AND reason IS NOT NULL);
