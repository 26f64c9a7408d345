-- Which jobs ended in a period, whenever they were created.
CREATE INDEX parent_job_ended ON parent_job (finished_at) WHERE finished_at IS NOT NULL;
