-- The indexes with collations that are none of SQLite's own.
-- SQLite does not say which of them exist: its list also has those that it only read about in the schema.
SELECT DISTINCT i.name, x.coll FROM main.sqlite_schema AS i, temp.pragma_index_xinfo(i.name, 'main') AS x
WHERE i.type = 'index' AND x.coll IS NOT NULL
    AND upper(x.coll) NOT IN ('BINARY', 'NOCASE', 'RTRIM')
