-- The indexes: table, whether SQLite made it itself, unique, partial, and the number of its columns.
SELECT i.name, i.tbl_name, i.sql IS NULL, coalesce(l."unique", 0), coalesce(l.partial, 0),
    (SELECT count(*) FROM temp.pragma_index_xinfo(i.name, 'main'))
FROM main.sqlite_schema AS i LEFT JOIN temp.pragma_index_list(i.tbl_name, 'main') AS l ON l.name = i.name
WHERE i.type = 'index' ORDER BY i.rowid
