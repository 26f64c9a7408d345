-- The SQL of tables and then of their indexes, if it has the word `desc` and no index of the table descends.
-- Before schema format 4 (2006; the default until 2012) an index ignored DESC. VACUUM makes it again in another order,
-- and then copies the rows of its table one by one, with new rowids.
SELECT tbl_name, name, sql FROM main.sqlite_schema AS s
WHERE type IN ('table', 'index') AND rootpage > 0 AND sql IS NOT NULL
    AND tbl_name IN (
        SELECT tbl_name FROM main.sqlite_schema
        WHERE type IN ('table', 'index') AND lower(sql) GLOB '*[^a-z0-9_]desc[^a-z0-9_]*')
    AND NOT EXISTS (
        SELECT 1 FROM temp.pragma_index_list(tbl_name, 'main') AS i, temp.pragma_index_xinfo(i.name, 'main') AS c
        WHERE c."desc")
ORDER BY type = 'index'
