-- The tables that lack statistics which ANALYZE would collect.
-- Who may not read the catalogs of statistics sees some of them in views. These are looked through once: they would be
-- gone through for each table.
WITH stored (relation, attribute, inherited) AS
    -- if reads
    NOT MATERIALIZED (SELECT st.starelid, st.staattnum, st.stainherit FROM pg_statistic AS st),
    -- else
    MATERIALIZED (
        SELECT sc.oid, a.attnum, s.inherited FROM pg_stats AS s JOIN pg_namespace AS sn ON sn.nspname = s.schemaname
        JOIN pg_class AS sc ON sc.relnamespace = sn.oid AND sc.relname = s.tablename
        JOIN pg_attribute AS a ON a.attrelid = sc.oid AND a.attname = s.attname),
    -- end
    extended (statistics, inherited, n_distinct) AS
    -- if reads
    NOT MATERIALIZED (
        SELECT d.stxoid, {inherited_from_15 d.stxdinherit}, d.stxdndistinct FROM pg_statistic_ext_data AS d)
    -- else
    MATERIALIZED (
        SELECT e.oid, {inherited_from_15 s.inherited}, s.n_distinct FROM pg_stats_ext AS s
        JOIN pg_namespace AS sn ON sn.nspname = s.statistics_schemaname
        JOIN pg_statistic_ext AS e ON e.stxnamespace = sn.oid AND e.stxname = s.statistics_name)
    -- end
SELECT c.oid::int8 FROM pg_class AS c
WHERE c.relkind IN ('r', 'm', 'p', 'f') AND c.relpersistence <> 't' AND c.oid <> 'pg_statistic'::regclass AND (
    c.relkind <> 'p' AND {has_rows c}
        AND ({lacks_statistics false} OR EXISTS (
            SELECT FROM pg_index AS x JOIN pg_attribute AS a ON a.attrelid = x.indexrelid
            WHERE x.indrelid = c.oid AND x.indkey[a.attnum - 1] = 0 AND {column_lacks false}))
    OR c.relhassubclass AND {lacks_statistics true} AND EXISTS (
        SELECT FROM pg_inherits AS h JOIN pg_class AS child ON child.oid = h.inhrelid
        WHERE h.inhparent = c.oid AND {has_rows child}))
