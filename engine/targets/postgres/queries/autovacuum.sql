-- What of autovacuum is off, and what its workers do.
SELECT concat_ws(' and ', CASE WHEN NOT current_setting('autovacuum')::bool THEN 'autovacuum' END,
        CASE WHEN NOT current_setting('track_counts')::bool THEN 'track_counts' END),
    current_setting('autovacuum_max_workers')::int, count(*)::int,
    (count(*) FILTER (WHERE wait_event = 'VacuumDelay'))::int,
    coalesce(nullif(current_setting('autovacuum_vacuum_cost_limit')::int, -1),
        current_setting('vacuum_cost_limit')::int)
FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'
