-- The history is searched through one index for each question; each holds all that its question asks.

-- Errors are read one after the other, not each from its row.
DROP INDEX child_job_error;
CREATE INDEX child_job_error ON child_job (parent_id, error) WHERE error IS NOT NULL;

CREATE INDEX child_job_operation ON child_job (operation, parent_id);

-- Of one target there are few enough to look at each one's status.
DROP INDEX parent_job_target_status;
