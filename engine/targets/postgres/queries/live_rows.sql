-- The rows that the server counts now.
SELECT oid::int8, pg_stat_get_live_tuples(oid)::float8 FROM pg_class WHERE relkind IN ('r', 'm', 't') AND relpages > 0
