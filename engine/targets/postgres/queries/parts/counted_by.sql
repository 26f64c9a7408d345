-- Who counted the pages of a table.
-- Before 18 nothing imports the number, and no dump brings along that of a TOAST table. From 18 on the statistics tell,
-- which a crash resets: those that know of a VACUUM or ANALYZE, and those that know of none and reach back to the load
-- of the rows, as at least as many were inserted as there are now.
CASE
    WHEN current_setting('server_version_num')::int < 180000 OR c.relkind = 't'
        OR coalesce(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid),
            pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) IS NOT NULL
    THEN 'this server'
    WHEN pg_stat_get_tuples_inserted(c.oid) > 0
        AND pg_stat_get_tuples_inserted(c.oid) >= c.reltuples / c.relpages * one.pages
    THEN 'another'
    ELSE 'unknown' END
