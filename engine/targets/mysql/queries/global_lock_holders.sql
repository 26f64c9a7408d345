-- Who holds the global read lock of MySQL, or waits for it.
SELECT DISTINCT t.processlist_id FROM performance_schema.metadata_locks AS m
JOIN performance_schema.threads AS t ON t.thread_id = m.owner_thread_id
WHERE m.object_type = 'GLOBAL' AND m.lock_type = 'SHARED' AND t.processlist_id IS NOT NULL
