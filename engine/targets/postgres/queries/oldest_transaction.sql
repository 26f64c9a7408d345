-- The oldest transaction of the database, or the oldest with a snapshot, and how many there are.
SELECT pid, concat_ws(', ', nullif(application_name, ''), usename, state),
    extract(epoch FROM clock_timestamp() - xact_start)::float8, count(*) OVER ()
FROM pg_stat_activity
WHERE datname = current_database() AND
    -- if of_snapshot
    backend_xmin IS NOT NULL
    -- else
    true
    -- end
    AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND coalesce(application_name, '') !~ '^dbtend '
    AND xact_start < clock_timestamp() - make_interval(secs => %s)
ORDER BY xact_start LIMIT 1
