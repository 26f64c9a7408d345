-- Whether the server knows the number of dead rows of a table.
-- Before PostgreSQL 14, a table that was never vacuumed or analyzed has 0 rows by the catalog; from then on -1.
-- if before_14
(coalesce(pg_stat_get_live_tuples(c.oid), 0) >= abs(c.reltuples) AND (
        c.relpages > 0 OR pg_stat_get_live_tuples(c.oid) > 0
        OR coalesce(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) IS NOT NULL))
-- else
coalesce(pg_stat_get_live_tuples(c.oid), 0) >= abs(c.reltuples)
-- end
