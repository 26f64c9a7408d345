-- How long an operation was expected to take by sizes alone: by that, and what it took, the first runs elsewhere are judged.
ALTER TABLE child_job ADD COLUMN size_estimate REAL CHECK (size_estimate >= 0);
