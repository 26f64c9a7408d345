-- Whether a table has so many dead rows, for each row of an index, that they change the estimate of its size.
-- But a session that deletes rows and removes them by VACUUM within a second reports the deletes afterwards, and the
-- server counts them twice. Where no row would be left that is seen at once, else after the next VACUUM.
pg_stat_get_dead_tuples({1}) > 0.2 * {2}
        AND (pg_stat_get_live_tuples({1}) > 0 OR pg_stat_get_dead_tuples({1}) <= {2})
        AND coalesce(
        pg_stat_get_last_vacuum_time({1}), pg_stat_get_last_autovacuum_time({1}),
        pg_stat_get_last_analyze_time({1}), pg_stat_get_last_autoanalyze_time({1})) IS NOT NULL
