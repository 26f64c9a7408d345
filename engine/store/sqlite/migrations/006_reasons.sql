-- The history is searched for the words of reasons, too.
DROP INDEX child_job_error;
CREATE INDEX child_job_error ON child_job (parent_id, error, reason) WHERE error IS NOT NULL OR reason IS NOT NULL;
