-- What tells how large each TOAST table and its index would be without dead space.
SELECT c.oid::int8, t.oid::int8, t.relpages::int8, t.reltuples::float8, i.oid::int8, i.relpages::int8,
    greatest(i.reltuples, 0)::float8
FROM pg_class AS c JOIN pg_class AS t ON t.oid = c.reltoastrelid JOIN pg_index AS x ON x.indrelid = t.oid
JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE greatest(t.relpages, i.relpages) >= {least} AND t.reltuples >= 0 AND x.indisvalid AND c.relkind IN ('r', 'm')
