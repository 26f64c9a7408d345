-- The invalid indexes that an interrupted rebuild left on the table of an index, and on which no session works.
SELECT i.oid::int8, n.nspname, i.relname, x.indrelid::int8
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_namespace AS n ON n.oid = i.relnamespace
WHERE NOT x.indisvalid AND i.relname ~ '{leftover}' AND x.indrelid = ANY (
        SELECT y.indrelid FROM pg_index AS y JOIN pg_class AS j ON j.oid = y.indexrelid
        JOIN pg_namespace AS m ON m.oid = j.relnamespace WHERE (m.nspname, j.relname) = (%s, %s))
    AND {not_in_work}
