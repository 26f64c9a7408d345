-- How long an operation was expected to take, and why a step did not complete or was not begun.
ALTER TABLE child_job ADD COLUMN estimate REAL CHECK (estimate >= 0);
ALTER TABLE step ADD COLUMN reason TEXT;
