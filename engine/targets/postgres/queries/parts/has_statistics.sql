-- Whether the planner has statistics of a table.
-- A table may have none though it is analyzed: without columns, or where no column is to have any. A role that may not
-- read pg_statistic sees in pg_stats only what it may read: other tables may have statistics, too.
(pg_stat_get_last_analyze_time(c.oid) IS NOT NULL
    OR pg_stat_get_last_autoanalyze_time(c.oid) IS NOT NULL OR
    -- if reads_statistics
    EXISTS (SELECT FROM pg_statistic AS st WHERE st.starelid = c.oid))
    -- else
    NOT has_table_privilege(c.oid, 'SELECT') OR EXISTS (
        SELECT FROM pg_stats AS st
        WHERE st.schemaname = c.relnamespace::regnamespace::name AND st.tablename = c.relname))
    -- end
