-- Every table and index, and where it begins.
SELECT name, rootpage, type = 'index' FROM main.sqlite_schema WHERE rootpage > 0
UNION ALL SELECT 'sqlite_schema', 1, 0
