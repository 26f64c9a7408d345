-- The statistics of columns, as far as the role may read them.
-- The table itself finds each row by its index; the view would be read as a whole for each row.
-- if reads_statistics
NOT MATERIALIZED (
    SELECT starelid, staattnum, stanullfrac, stawidth, stadistinct FROM pg_statistic WHERE NOT stainherit)
-- else
(
    SELECT sc.oid AS starelid, a.attnum AS staattnum, s.null_frac AS stanullfrac, s.avg_width AS stawidth,
        s.n_distinct AS stadistinct
    FROM pg_stats AS s JOIN pg_namespace AS sn ON sn.nspname = s.schemaname
    JOIN pg_class AS sc ON sc.relnamespace = sn.oid AND sc.relname = s.tablename
    JOIN pg_attribute AS a ON a.attrelid = sc.oid AND a.attname = s.attname WHERE NOT s.inherited)
-- end
