-- All invalid indexes that an interrupted rebuild left.
SELECT x.indexrelid::int8 FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE NOT x.indisvalid AND i.relname ~ '{leftover}'
