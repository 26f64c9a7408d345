-- The indexes with their tables and their SQL.
SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'index' AND typeof(name) = 'text'
