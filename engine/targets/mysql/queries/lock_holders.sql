-- Who holds metadata locks on these tables, as performance_schema knows.
SELECT DISTINCT t.processlist_id, m.object_name FROM performance_schema.metadata_locks AS m
JOIN performance_schema.threads AS t ON t.thread_id = m.owner_thread_id
WHERE m.object_type = 'TABLE' AND m.object_schema = DATABASE() AND m.object_name IN ({names})
    AND m.lock_status = 'GRANTED' AND t.processlist_id IS NOT NULL
