-- How many sessions wait for a lock on a table.
-- Also of sessions that read the table through a view, or write it by a trigger.
SELECT COUNT(*) FROM performance_schema.metadata_locks AS m
JOIN performance_schema.threads AS t ON t.thread_id = m.owner_thread_id
WHERE m.object_type = 'TABLE' AND m.object_schema = DATABASE() AND m.object_name = %s AND m.lock_status = 'PENDING'
    AND t.processlist_id NOT IN ({ids})
