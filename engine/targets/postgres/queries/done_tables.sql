-- Which of these tables the last command of a process has done.
-- Each table is a transaction of its own. Where the server has kept no time, the table counts as not done.
SELECT c.oid::int8 FROM pg_class AS c JOIN pg_stat_activity AS a ON a.pid = %s
WHERE c.oid = ANY (%s::oid[]) AND {ended}(c.oid) >= a.query_start
