-- The tables with pages of their own, whether each has no rowid, and the number of its columns.
-- A virtual table has no root page. Shadow tables are ordinary ones.
SELECT t.name, {has_no_rowid},
    (SELECT count(*) FROM temp.pragma_table_xinfo(t.name, 'main'))
FROM main.sqlite_schema AS t
WHERE t.type = 'table' AND t.rootpage > 0 AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY t.rowid
