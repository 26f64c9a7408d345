-- Who holds locks of these modes on these tables.
SELECT DISTINCT ON (l.pid, p.name) l.pid,
    concat_ws(', ', nullif(a.application_name, ''), a.usename, coalesce(a.state, a.backend_type, 'of another role')),
    p.name, p.seconds, n.nspname, c.relname, count(*) OVER (PARTITION BY l.pid, p.name)
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN ({prepared}) AS p ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.granted AND l.mode = ANY (%s) AND l.relation = ANY (%s::oid[])
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (a.pid <> pg_backend_pid() AND coalesce(a.application_name, '') !~ '^dbtend '
        AND coalesce(a.xact_start <= clock_timestamp() - make_interval(secs => %s), true) OR p.name IS NOT NULL)
ORDER BY l.pid, p.name LIMIT 4
