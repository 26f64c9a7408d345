-- Why pg_repack cannot work on each table; NULL where it can.
SELECT c.oid::int8, CASE
    WHEN c.relkind = 'm' THEN 'materialized_view'
    WHEN c.relpersistence <> 'p' THEN 'not_logged'
    WHEN am.amname <> 'heap' THEN 'not_heap'
    WHEN key.indexrelid IS NULL THEN 'no_key_of_client'
    WHEN EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND NOT i.indisvalid) THEN 'invalid_index' END
FROM pg_class AS c LEFT JOIN pg_am AS am ON am.oid = c.relam
LEFT JOIN repack.primary_keys AS key ON key.indrelid = c.oid
WHERE c.relkind IN ('r', 'm')
