-- What has happened to each table since its last maintenance, with the thresholds of autovacuum.
-- Read by functions: the view of all tables would read the counters of their indexes, too.
-- `least` leaves NULL out: before PostgreSQL 18 there is no greatest limit, and -1 means none.
SELECT c.oid::int8, coalesce(pg_stat_get_dead_tuples(c.oid), 0), least({limit vacuum},
        nullif(coalesce((opt ->> 'autovacuum_vacuum_max_threshold')::float8,
            (SELECT nullif(current_setting('autovacuum_vacuum_max_threshold', true), '')::float8)), -1)),
    coalesce(pg_stat_get_ins_since_vacuum(c.oid), 0), CASE WHEN {setting autovacuum_vacuum_insert_threshold} < 0
        THEN 'infinity'::float8 ELSE {limit vacuum_insert} END,
    coalesce(pg_stat_get_mod_since_analyze(c.oid), 0), {limit analyze},
    {ages},
    coalesce((opt ->> 'autovacuum_enabled')::bool, true),
    -- ANALYZE does nothing to a partitioned table without local partitions. Before PostgreSQL 14, the number of rows of
    -- a table is 0 until they are counted, and that of a partitioned one always.
    CASE WHEN c.relkind = 'p' THEN
        -- if before_14
        {has_statistics}
        -- else
        c.reltuples >= 0
        -- end
        OR NOT EXISTS (
            WITH RECURSIVE parts (oid) AS (
                SELECT h.inhrelid FROM pg_inherits AS h WHERE h.inhparent = c.oid
                UNION ALL SELECT h.inhrelid FROM pg_inherits AS h JOIN parts ON h.inhparent = parts.oid)
            SELECT FROM parts JOIN pg_class AS part ON part.oid = parts.oid WHERE part.relkind = 'r'
            -- if before_14
            AND (part.reltuples > 0 OR part.relpages = 0 AND {measured_pages part} > 0)
            -- end
        ) ELSE {has_statistics} END,
    -- if before_14
    (CASE WHEN c.reltuples = 0 AND c.relpages = 0 THEN -1 ELSE c.reltuples END)::float8,
    -- else
    c.reltuples::float8,
    -- end
    -- A table that was never vacuumed or analyzed has relpages 0; ANALYZE counts no TOAST.
    CASE WHEN c.relpages = 0 AND c.reltuples <= 0 AND c.relkind <> 'p' THEN {measured_pages c} ELSE c.relpages::int8 END
        + coalesce(CASE WHEN toast.relpages = 0 AND toast.reltuples <= 0
            THEN {measured_pages toast} ELSE toast.relpages::int8 END, 0),
    c.relkind <> 'p'
        AND pg_stat_get_live_tuples(c.oid) + pg_stat_get_dead_tuples(c.oid) < greatest(c.reltuples / 2, 0.5)
        AND coalesce(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid),
            pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) IS NULL
        AND (SELECT current_setting('track_counts')::bool AND NOT pg_is_in_recovery()),
    extract(epoch FROM clock_timestamp()
        - greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)))::float8,
    c.relisshared
{tables_with_options}
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
