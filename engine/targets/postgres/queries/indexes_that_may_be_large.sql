-- The indexes from so many pages on, and those of the given tables without known rows.
-- An index that is as old as its table has no rows by the catalog until the table is analyzed or vacuumed.
SELECT i.oid::int8 FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE i.relkind = 'i' AND (i.relpages >= {least} OR i.reltuples <= 0 AND x.indrelid = ANY (%s::oid[]))
