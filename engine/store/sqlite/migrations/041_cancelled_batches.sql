-- Who cancelled a batch while jobs of it were still to come, '' here: these are cancelled, too.
ALTER TABLE batch ADD COLUMN cancelled_by TEXT;
