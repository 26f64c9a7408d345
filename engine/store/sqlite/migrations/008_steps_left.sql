-- How many steps of an operation were not begun, and what an operation waits for.
ALTER TABLE child_job ADD COLUMN steps_left INTEGER NOT NULL DEFAULT 0;
ALTER TABLE child_job ADD COLUMN waits_for TEXT;
-- What completed in part is found with what was skipped.
DROP INDEX child_job_skipped;
CREATE INDEX child_job_skipped ON child_job (parent_id, status, reason)
WHERE status = 'skipped' OR (status = 'completed' AND reason IS NOT NULL);
