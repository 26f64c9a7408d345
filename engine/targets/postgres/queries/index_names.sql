-- All indexes, by name.
SELECT i.oid::int8, n.nspname, i.relname FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_namespace AS n ON n.oid = i.relnamespace
