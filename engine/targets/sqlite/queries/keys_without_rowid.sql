-- The keys that are tables without rowid themselves: each has a name that is in no schema entry.
SELECT t.name, i.name FROM main.sqlite_schema AS t, temp.pragma_index_list(t.name, 'main') AS i
WHERE t.type = 'table' AND t.rootpage > 0 AND i.origin = 'pk' AND {has_no_rowid}
