-- In which tablespaces these tables and their indexes are, and their sizes.
-- Sizes of files: those in the catalog are as old as the last VACUUM or ANALYZE.
SELECT c.oid::int8, part.is_index, pg_tablespace_location(coalesce(nullif(part.reltablespace, 0), d.dattablespace)),
    sum(part.bytes)::int8
FROM pg_class AS c JOIN pg_database AS d ON d.datname = current_database()
LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
CROSS JOIN LATERAL (
    SELECT false, c.reltablespace,
        coalesce(CASE WHEN %(measured)s AND {not_locked c} THEN pg_table_size(c.oid) END,
            (c.relpages + coalesce(t.relpages, 0))::int8 * {page})
    UNION ALL SELECT true, i.reltablespace,
        coalesce(CASE WHEN %(measured)s AND {not_locked i} THEN pg_relation_size(i.oid) END,
            i.relpages::int8 * {page})
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE x.indrelid = c.oid) AS part (is_index, reltablespace, bytes)
WHERE c.oid = ANY (%(oids)s::oid[]) GROUP BY 1, 2, 3
