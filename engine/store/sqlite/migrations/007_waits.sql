-- Microseconds in which a running child merely waited for others: what is left of it is told without them.
ALTER TABLE child_job ADD COLUMN waited INTEGER NOT NULL DEFAULT 0;
