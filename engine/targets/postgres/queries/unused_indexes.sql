-- The indexes that no query has used since the server counts, and since when that is.
-- A standby counts what its own queries use. A crash removes all counters; only the counters of the archiver tell when.
SELECT n.nspname, i.relname, i.relpages::int8 * current_setting('block_size')::int8, since,
    extract(epoch FROM clock_timestamp() - since)::float8
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_namespace AS n ON n.oid = i.relnamespace
CROSS JOIN (SELECT coalesce(greatest(d.stats_reset, a.stats_reset), clock_timestamp())
    FROM pg_stat_database AS d CROSS JOIN pg_stat_archiver AS a WHERE d.datname = current_database()) AS counted (since)
WHERE x.indisvalid AND i.relkind = 'i' AND i.relpersistence <> 't' AND i.relpages >= 128
    AND pg_stat_get_numscans(i.oid) = 0 AND NOT ({has_a_task}) AND n.nspname !~ '^(pg_|information_schema$)'
    AND current_setting('track_counts')::bool
ORDER BY 3 DESC, 1, 2
