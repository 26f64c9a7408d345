-- Whether a table may have rows.
-- After ANALYZE, a table without rows has 0; before PostgreSQL 14 also one that was never analyzed.
({1}.reltuples <> 0 OR {1}.reltuples = 0 AND
    -- if before_14
    true)
    -- else
    false)
    -- end
