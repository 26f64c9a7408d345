-- The pages of a relation, measured where the catalog has none and no lock prevents it.
-- A table that was never vacuumed or analyzed has relpages 0; its real size cannot be read while it is locked.
-- Measuring thousands is slow. A reset or a crash removes the time of the last VACUUM, with the other counters.
CASE
    WHEN {1}.relpages > 0 AND {1}.reltuples > 0
        OR {1}.reltuples = 0 AND {1}.relpages = 0 AND pg_stat_get_ins_since_vacuum({1}.oid) = 0
        AND coalesce(pg_stat_get_last_vacuum_time({1}.oid), pg_stat_get_last_autovacuum_time({1}.oid)) IS NOT NULL
        OR NOT ({not_locked {1}})
    THEN {1}.relpages::int8
    ELSE coalesce(pg_relation_size({1}.oid) / current_setting('block_size')::int8, {1}.relpages) END
