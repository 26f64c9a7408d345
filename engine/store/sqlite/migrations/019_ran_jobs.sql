-- Finds when a job of a target ended last that had begun.
CREATE INDEX parent_job_ran ON parent_job (target, finished_at) WHERE started_at IS NOT NULL;
