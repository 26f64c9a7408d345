-- The commands of other processes of this attempt that still run.
SELECT CAST(id AS SIGNED), LEFT(info, 200) FROM information_schema.processlist
WHERE db = DATABASE() AND info LIKE %s AND info NOT LIKE %s AND id <> CONNECTION_ID()
