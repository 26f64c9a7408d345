-- Whether the target of a job is a pattern whose databases could not be listed: nothing else tells it from a name.
ALTER TABLE parent_job ADD COLUMN is_pattern INTEGER NOT NULL DEFAULT 0 CHECK (is_pattern = 0 OR is_pattern = 1);
