-- The files of a table and of its TOAST table that are shorter than they were counted.
-- VACUUM shortens a file before it tells the catalog.
SELECT c.relkind = 't', c.relpages::int8, one.pages, {counted_by}
FROM pg_class AS main JOIN pg_class AS c ON c.oid IN (main.oid, main.reltoastrelid)
CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::int8) AS one (pages)
WHERE main.oid = %s AND c.relpages > one.pages
    AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS v WHERE v.relid = c.oid)
