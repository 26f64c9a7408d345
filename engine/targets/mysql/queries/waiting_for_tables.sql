-- The statements of others that wait for a table.
SELECT COALESCE(db = DATABASE(), 0), COALESCE(info, ''), CAST(time AS SIGNED)
FROM information_schema.processlist WHERE state LIKE 'Waiting for table%' AND id NOT IN ({ids})
