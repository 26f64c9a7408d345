-- The indexes that do what another index does.
-- A unique index is replaced by none that lets more through: before PostgreSQL 15 NULLs are always distinct. One that
-- belongs to a constraint, that a foreign key refers to, that identifies rows for replication or that is part of a
-- partitioned index is not to be dropped at all.
WITH each AS (
    SELECT x.indexrelid, x.indrelid, x.indisunique, x.indimmediate, i.relname, i.relnamespace, i.relpages, is_needed,
        CASE WHEN x.indisunique THEN to_jsonb(x) ->> 'indnullsnotdistinct' END AS nulls,
        ROW(i.relam, x.indkey::text, x.indclass::text, x.indcollation::text, x.indoption::text, x.indnkeyatts,
            pg_get_expr(x.indexprs, x.indrelid), pg_get_expr(x.indpred, x.indrelid))::text AS does,
        row_number() OVER (PARTITION BY x.indrelid
            ORDER BY is_needed DESC, x.indisunique DESC, i.relname ~ '{leftover}', x.indexrelid) AS place
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    CROSS JOIN LATERAL (SELECT x.indisreplident OR i.relispartition
        OR x.indexrelid IN (SELECT k.conindid FROM pg_constraint AS k)) AS one (is_needed)
    WHERE x.indisvalid AND i.relkind = 'i' AND {of_users} AND {shares_first_key}),
found AS (
    SELECT DISTINCT ON (x.indexrelid) x.*, kept.relname AS kept
    FROM each AS x JOIN each AS kept
        ON kept.indrelid = x.indrelid AND kept.does = x.does AND kept.place < x.place
        AND (NOT x.indisunique OR kept.indisunique AND kept.indimmediate AND kept.nulls IS NOT DISTINCT FROM x.nulls)
    WHERE NOT x.is_needed ORDER BY x.indexrelid, kept.place)
SELECT n.nspname, found.relname, found.kept, found.relpages::int8 * current_setting('block_size')::int8
FROM found JOIN pg_namespace AS n ON n.oid = found.relnamespace
WHERE n.nspname !~ '^(pg_|information_schema$)' ORDER BY 4 DESC, 1, 2
