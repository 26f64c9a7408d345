-- What each step did, and cancels that end a process by force. The vocabulary has more operations.

ALTER TABLE step ADD COLUMN effect TEXT CHECK (effect IS NULL OR json_valid(effect));
ALTER TABLE child_job ADD COLUMN force_requested_at INTEGER;

-- Whether its process died after it had been asked to stop: its next attempt only looks after the database.
ALTER TABLE child_job ADD COLUMN recovering INTEGER NOT NULL DEFAULT 0 CHECK (recovering = 0 OR recovering = 1);
CREATE INDEX child_job_recovering ON child_job (parent_id, ordinal) WHERE status = 'pending' AND recovering = 1;
