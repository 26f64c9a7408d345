-- Whether a valid index of this name is another one.
SELECT count(*) > 0 FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_namespace AS n ON n.oid = i.relnamespace
WHERE x.indisvalid AND (n.nspname, i.relname) = (%s, %s) AND i.oid <> %s::oid
