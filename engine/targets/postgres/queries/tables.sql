-- Tables with their sizes, rows and indexes: all, or those with some oids.
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, {pages c} + coalesce({pages toast}, 0),
    greatest(c.reltuples, 0)::float8, coalesce(own.pages, 0)::int8, coalesce(own.indexes, 0)::int4,
    n.nspname IN ('pg_catalog', 'information_schema'), c.relhassubclass, {may c}, own.clustered_by,
    coalesce(pg_stat_get_dead_tuples(c.oid), 0)::int8,
    coalesce(c.relallvisible::float8 / nullif(c.relpages, 0), 0),
    {is_counted}, toast.relpages::int8
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
LEFT JOIN (
    SELECT x.indrelid, sum({pages i}) AS pages, count(*) AS indexes,
        max(i.relname) FILTER (WHERE x.indisclustered) AS clustered_by
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE i.relnamespace <> 'pg_toast'::regnamespace AND {is_among x.indrelid} GROUP BY x.indrelid
) AS own ON own.indrelid = c.oid
WHERE c.relkind IN ({kinds}) AND c.relpersistence <> 't' AND n.nspname !~ '^pg_(toast|temp)' AND {is_among c.oid}
    AND NOT {of_pg_repack n; c}
ORDER BY n.nspname, c.relname
