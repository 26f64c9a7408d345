-- The session of a process.
SELECT {session} FROM pg_stat_activity AS b WHERE b.pid = %s
