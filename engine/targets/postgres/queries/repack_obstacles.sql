-- Why REPACK CONCURRENTLY cannot work on each table; NULL where it can.
SELECT c.oid::int8, CASE
    WHEN c.relkind = 'm' THEN 'materialized_view'
    WHEN c.relpersistence <> 'p' THEN 'not_logged'
    WHEN am.amname <> 'heap' THEN 'not_heap'
    WHEN EXISTS (SELECT FROM unnest(c.reloptions) AS o WHERE o IN ('user_catalog_table=true', 'user_catalog_table=on'))
        THEN 'catalog_of_users'
    WHEN c.relreplident = 'f' THEN 'identity_full'
    WHEN c.relreplident = 'n' THEN 'identity_nothing'
    WHEN c.relreplident = 'd' AND key.indimmediate IS FALSE THEN 'deferrable_key'
    WHEN key.indexrelid IS NULL THEN 'no_key' END
FROM pg_class AS c LEFT JOIN pg_am AS am ON am.oid = c.relam
LEFT JOIN pg_index AS key ON key.indrelid = c.oid AND key.indisvalid
    AND CASE c.relreplident WHEN 'i' THEN key.indisreplident ELSE key.indisprimary END
WHERE c.relkind IN ('r', 'm')
