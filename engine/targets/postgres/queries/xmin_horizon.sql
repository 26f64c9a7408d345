-- Which sessions, prepared transactions, slots and standbys hold dead rows back, the oldest first.
SELECT 'pid ' || pid, greatest(age(backend_xmin), age(backend_xid))::int8,
    extract(epoch FROM clock_timestamp() - xact_start)::float8,
    concat_ws(', ', nullif(application_name, ''), coalesce(usename, backend_type), state),
    CASE WHEN datname = current_database() OR datname IS NULL THEN 'all' ELSE 'shared' END, false
FROM pg_stat_activity AS a
WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid() AND backend_type <> 'walsender'
    AND coalesce(application_name, '') !~ '^dbtend '
    AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS v WHERE v.pid = a.pid)
UNION ALL
SELECT quote_literal(gid), age(transaction)::int8, extract(epoch FROM clock_timestamp() - prepared)::float8, NULL,
    CASE WHEN database = current_database() THEN 'all' ELSE 'shared' END, false
FROM pg_prepared_xacts
UNION ALL
SELECT 'replication slot ' || slot_name, age(one.xmin)::int8, NULL,
    CASE WHEN active THEN 'active' ELSE 'inactive: drop it if it is not needed' END, one.reach, NOT active
FROM pg_replication_slots AS s
CROSS JOIN LATERAL (VALUES (s.xmin, 'all'), (s.catalog_xmin, 'catalog')) AS one (xmin, reach)
WHERE one.xmin IS NOT NULL
UNION ALL
SELECT 'standby ' || coalesce(nullif(application_name, ''), client_addr::text, '?'), age(backend_xmin)::int8, NULL,
    'hot_standby_feedback', 'all', false
FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
ORDER BY 2 DESC NULLS LAST LIMIT 50
