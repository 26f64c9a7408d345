-- What each step did, and cancels that end a process by force. The vocabulary has more operations.

ALTER TABLE step ADD COLUMN effect TEXT CHECK (effect IS NULL OR json_valid(effect));
ALTER TABLE child_job ADD COLUMN force_requested_at INTEGER;
