-- The jobs that a process takes on, where it does not take on every one: a JSON array of their ids.
ALTER TABLE worker ADD COLUMN own_jobs TEXT CHECK (own_jobs IS NULL OR json_valid(own_jobs));
