-- A CHECK is read and planned anew by each statement that writes to its table, so triggers check the rows of jobs
-- (`check_parent`, `check_child`). Events are written by `add_event` alone, which numbers them by the newest one.
DO $$
DECLARE c record;
BEGIN
    FOR c IN SELECT conrelid::regclass AS of_table, conname FROM pg_constraint
        WHERE contype = 'c' AND conrelid IN ('parent_job'::regclass, 'child_job'::regclass, 'event'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.of_table, c.conname);
    END LOOP;
END $$;
DROP TRIGGER IF EXISTS parent_job_transition ON parent_job;
DROP TRIGGER IF EXISTS child_job_transition ON child_job;
DROP TABLE event_counter;
-- For processes of the earlier version that still run.
CREATE VIEW event_counter AS SELECT coalesce(max(seq), 0) AS last FROM event;
