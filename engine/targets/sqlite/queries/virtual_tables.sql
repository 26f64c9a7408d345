-- The virtual tables with their SQL.
SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND rootpage = 0
