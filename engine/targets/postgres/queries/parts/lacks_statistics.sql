-- Whether a table lacks statistics of a column, or extended ones.
-- Before PostgreSQL 15, CREATE STATISTICS stores a row without values. Counts of distinct ones are always found.
(EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND {column_lacks {1}})
    OR EXISTS (SELECT FROM pg_statistic_ext AS e WHERE e.stxrelid = c.oid AND e.stxstattarget IS DISTINCT FROM 0
        AND NOT EXISTS (SELECT FROM extended AS d
            WHERE d.statistics = e.oid AND coalesce(d.inherited, {1}) = {1}
                AND (
                -- if from_15
                true
                -- else
                false
                -- end
                OR d.n_distinct IS NOT NULL OR 'd' <> ALL (e.stxkind)))))
