-- Which process started a worker process and replaces it; by which signal a process ended; and what a submit is found by.

ALTER TABLE worker ADD COLUMN pool INTEGER;
ALTER TABLE attempt ADD COLUMN signal INTEGER;
ALTER TABLE parent_job ADD COLUMN submission TEXT;
