-- How many jobs a firing started: also when they have been removed. NULL: it did not fire, or is older than this.
ALTER TABLE firing ADD COLUMN jobs INTEGER;
