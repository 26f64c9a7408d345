-- The GIN and BRIN indexes that VACUUM tends, and what it may have to do.
-- Only the owner of an index may do it. New rows usually go to the end of a table. An array leaves out the other kinds
-- before anything else is asked of each index.
SELECT i.oid::int8, am.amname, t.oid::int8, one.pages, CASE WHEN am.amname = 'gin' THEN 0
        ELSE least(pg_stat_get_ins_since_vacuum(t.oid) / greatest(pg_stat_get_live_tuples(t.oid), 1)::float8, 1)
            * one.pages * current_setting('block_size')::int8 END::int8,
    extract(epoch FROM clock_timestamp()
        - greatest(pg_stat_get_last_vacuum_time(t.oid), pg_stat_get_last_autovacuum_time(t.oid)))::float8,
    2 * extract(epoch FROM current_setting('checkpoint_timeout')::interval)::float8
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_class AS t ON t.oid = x.indrelid
CROSS JOIN LATERAL (SELECT CASE WHEN am.amname = 'gin' OR NOT ({not_locked t}) THEN t.relpages::int8
    ELSE coalesce(pg_relation_size(t.oid) / current_setting('block_size')::int8, 0) END) AS one (pages)
WHERE i.relam = ANY (ARRAY(SELECT oid FROM pg_am WHERE amname IN ('gin', 'brin')))
    AND i.relkind = 'i' AND i.relpersistence <> 't' AND x.indisvalid AND pg_has_role(i.relowner, 'USAGE')
    AND NOT pg_is_in_recovery() AND NOT EXISTS (
        SELECT FROM unnest(i.reloptions) AS o
        WHERE o IN ('fastupdate=off', 'fastupdate=false', 'autosummarize=on', 'autosummarize=true'))
ORDER BY i.relpages DESC
