-- Whether no session has a relation for itself alone.
{1}.oid <> ALL (ARRAY(SELECT l.relation FROM pg_locks AS l
        WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
            AND l.database IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))))
