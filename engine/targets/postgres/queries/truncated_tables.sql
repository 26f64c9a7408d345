-- All tables whose file, or that of their TOAST table, is shorter than it was counted.
-- Where another session may shorten a file just now, nothing is said: VACUUM does so before it tells the catalog.
SELECT n.nspname, main.relname, c.relkind = 't', c.relpages::int8, one.pages, greatest(main.reltuples, 0)::float8,
    {counted_by}
FROM pg_class AS c
JOIN pg_class AS main ON main.oid = CASE c.relkind WHEN 't' THEN (
        SELECT m.oid FROM pg_class AS m WHERE m.reltoastrelid = c.oid) ELSE c.oid END
JOIN pg_namespace AS n ON n.oid = main.relnamespace
CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::int8) AS one (pages)
WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence = 'p' AND c.relpages > 0 AND {not_locked c}
    AND c.relpages > one.pages
    AND NOT EXISTS (
        SELECT FROM pg_stat_progress_vacuum AS v
        WHERE v.datname = current_database() AND coalesce(v.relid = c.oid, true))
ORDER BY 1, 2
