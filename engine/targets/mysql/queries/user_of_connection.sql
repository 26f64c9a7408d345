-- The user of a connection.
SELECT user, host FROM information_schema.processlist WHERE id = %s
