-- The oldest transaction of the whole server that has written.
SELECT pid, who, seconds, count(*) OVER ()
FROM (
    SELECT pid, concat_ws(', ', nullif(application_name, ''), usename, state),
        extract(epoch FROM clock_timestamp() - xact_start)::float8
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL SELECT NULL, quote_literal(gid), extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts) AS one (pid, who, seconds)
WHERE seconds > %s ORDER BY seconds DESC LIMIT 1
