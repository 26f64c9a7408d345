-- The indexes of partitioned tables, each with those of its partitions that have entries.
SELECT i.oid::int8, n.nspname, i.relname, tn.nspname, t.relname,
    ARRAY(SELECT part.relid::oid::int8 FROM pg_partition_tree(i.oid) AS part WHERE part.isleaf)
FROM pg_class AS i JOIN pg_namespace AS n ON n.oid = i.relnamespace JOIN pg_index AS x ON x.indexrelid = i.oid
JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE i.relkind = 'I' AND i.relpersistence <> 't'
