-- The B-trees whose keys are the first keys of another B-tree.
WITH each AS (
    SELECT x.indexrelid, x.indrelid, x.indnatts, i.relname, i.relnamespace, i.relpages,
        {has_a_task} AS has_a_task, pg_get_expr(x.indpred, x.indrelid) AS only,
        ARRAY(SELECT ROW(one.*)::text FROM unnest(x.indkey::int2[], x.indclass::oid[], x.indcollation::oid[],
            x.indoption::int2[]) WITH ORDINALITY AS one WHERE one.ordinality <= x.indnkeyatts
            ORDER BY one.ordinality) AS keys
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS am ON am.oid = i.relam
    WHERE x.indisvalid AND i.relkind = 'i' AND am.amname = 'btree' AND x.indexprs IS NULL AND {of_users}
        AND {shares_first_key}),
found AS (
    SELECT DISTINCT ON (short.indexrelid) short.*, long.relname AS kept
    FROM each AS short JOIN each AS long ON long.indrelid = short.indrelid
        AND cardinality(long.keys) > cardinality(short.keys)
        AND long.keys[1:cardinality(short.keys)] = short.keys AND long.only IS NOT DISTINCT FROM short.only
    WHERE NOT short.has_a_task AND short.indnatts = cardinality(short.keys)
    ORDER BY short.indexrelid, long.relpages, long.indexrelid)
SELECT n.nspname, found.relname, found.kept, found.relpages::int8 * current_setting('block_size')::int8
FROM found JOIN pg_namespace AS n ON n.oid = found.relnamespace
WHERE n.nspname !~ '^(pg_|information_schema$)' ORDER BY 4 DESC, 1, 2
