-- The command of dbtend that runs on a connection.
-- Another session may have the number once the server restarted.
SELECT CAST(id AS SIGNED), LEFT(info, 200) FROM information_schema.processlist
WHERE id = %s AND info LIKE '/* dbtend %%'
