-- Indexes whose table is found by a condition.
SELECT i.oid::int8, n.nspname, i.relname, main.oid::int8, mn.nspname, main.relname, {pages i},
    {pages t}, am.amname, x.indisvalid, x.indisexclusion, t.relkind = 't', i.relname ~ '{leftover}',
    mn.nspname IN ('pg_catalog', 'information_schema'), {may_by_name},
    x.indcollation[0] NOT IN (0, 'pg_catalog."C"'::regcollation, 'pg_catalog."POSIX"'::regcollation),
    t.relkind = 't' AND {may main} AND NOT ({may_by_name}), x.indisunique, x.indisready,
    ({rows_of_index})::float8
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_namespace AS n ON n.oid = i.relnamespace
JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_class AS main ON {1} JOIN pg_namespace AS mn ON mn.oid = main.relnamespace
WHERE i.relkind = 'i' AND i.relpersistence <> 't' AND mn.nspname !~ '^pg_temp' AND NOT {of_pg_repack mn; main} AND
    -- if some
    (x.indexrelid = ANY (%(oids)s::oid[]) OR NOT x.indisvalid)
    -- else
    true
    -- end
    AND (x.indisvalid OR {not_in_work})
