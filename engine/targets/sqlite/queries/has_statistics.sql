-- A row if ANALYZE has made its table.
-- A schema that was written by hand may have a table of that name and other columns.
SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name = 'sqlite_stat1'
    AND (SELECT count(*) FROM temp.pragma_table_info('sqlite_stat1', 'main') WHERE name IN ('tbl', 'idx', 'stat')) = 3
