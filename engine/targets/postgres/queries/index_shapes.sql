-- What tells how large each GIN, GiST and SP-GiST index would be without dead space.
SELECT i.oid::int8, am.amname, c.opcname, NOT EXISTS (
        SELECT FROM unnest(x.indclass::oid[]) AS class JOIN pg_opclass AS o ON o.oid = class
        WHERE NOT EXISTS (SELECT FROM pg_amproc AS p WHERE p.amprocfamily = o.opcfamily AND p.amprocnum = 11
            AND p.amproclefttype = o.opcintype AND p.amprocrighttype = o.opcintype)),
    i.relpages::int8, i.reltuples::float8, current_setting('server_version_num')::int < 150000, i.relpersistence = 'u',
    CASE WHEN x.indpred IS NULL AND t.reltuples > 0 AND {changed t.oid; t.reltuples}
        THEN least(pg_stat_get_live_tuples(t.oid) / t.reltuples, 1) ELSE 1 END::float8
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_opclass AS c ON c.oid = x.indclass[0]
WHERE am.amname IN ('gin', 'gist', 'spgist') AND x.indisvalid AND i.relpages >= {least} AND i.reltuples >= 0
