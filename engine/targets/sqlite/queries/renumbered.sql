-- The tables that VACUUM renumbers, unless their rowids are 1, 2, 3, ...: each with its columns.
-- Another table with an index keeps its numbers today, which SQLite does not promise.
SELECT t.name, x.name FROM main.sqlite_schema AS t, temp.pragma_table_xinfo(t.name, 'main') AS x
WHERE t.type = 'table' AND t.rootpage > 0 AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
    AND (
    -- if into
    t.name IN ({disordered})
    -- else
    NOT EXISTS (SELECT 1 FROM temp.pragma_index_list(t.name, 'main')) OR t.name IN ({disordered})
    -- end
    )
    AND (EXISTS (SELECT 1 FROM temp.pragma_index_list(t.name, 'main') AS i WHERE i.origin = 'pk') OR NOT EXISTS (
        SELECT 1 FROM temp.pragma_table_info(t.name, 'main') AS c WHERE c.pk > 0
        GROUP BY NULL HAVING count(*) = 1 AND upper(max(c.type)) = 'INTEGER'))
    AND NOT EXISTS (
        SELECT 1 FROM temp.pragma_index_list(t.name, 'main') AS i
        WHERE i.origin = 'pk' AND i.name NOT IN (SELECT name FROM main.sqlite_schema WHERE type = 'index'))
ORDER BY t.rowid
