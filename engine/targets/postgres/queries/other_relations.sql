-- The relations that no operation works on, each with the table that it belongs to.
SELECT c.relname, n.nspname, CASE WHEN c.relpersistence = 't' THEN 'temporary' ELSE c.relkind::text END,
    coalesce(mn.nspname, ''), coalesce(main.relname, '')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_index AS x ON x.indexrelid = c.oid
LEFT JOIN pg_class AS main ON main.reltoastrelid = c.oid OR main.oid = x.indrelid
LEFT JOIN pg_namespace AS mn ON mn.oid = main.relnamespace
WHERE c.relkind NOT IN ('r', 'm', 'p', 'i', 'f', 'I') OR c.relpersistence = 't'
