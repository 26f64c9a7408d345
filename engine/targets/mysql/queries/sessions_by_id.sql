-- The sessions with these connections.
SELECT CAST(id AS SIGNED), user, host, command, CAST(time AS SIGNED) FROM information_schema.processlist
WHERE id IN ({ids})
