-- What these connections do, the stage and progress of each command where the server tells them, and its thread.
-- if mariadb
SELECT CAST(id AS SIGNED), command, COALESCE(state, ''), CAST(stage AS SIGNED), CAST(progress AS DOUBLE),
    CAST(tid AS SIGNED)
FROM information_schema.processlist WHERE id IN ({ids})
-- else
SELECT CAST(processlist_id AS SIGNED), COALESCE(processlist_command, ''), COALESCE(processlist_state, ''), 0, 0.0e0,
    CAST(COALESCE(thread_os_id, 0) AS SIGNED)
FROM performance_schema.threads WHERE processlist_id IN ({ids})
-- end
