-- A submit looks for the open jobs of a path, whatever file is there. The functions that follow a file are made anew.
CREATE INDEX parent_job_open_of_target ON parent_job (target) WHERE finished_at IS NULL;
