-- The SQL of tables and then of their indexes.
SELECT tbl_name, name, sql FROM main.sqlite_schema WHERE type IN ('table', 'index') AND rootpage > 0 AND sql IS NOT NULL
ORDER BY type = 'index'
