-- The file of an index, and its rows by the catalog.
SELECT pg_relation_filenode(i.oid)::int8, ({rows_of_index})::int8
FROM pg_class AS i JOIN pg_index AS x ON x.indexrelid = i.oid JOIN pg_class AS t ON t.oid = x.indrelid
JOIN pg_am AS am ON am.oid = i.relam
WHERE i.oid = to_regclass(%s)
