-- The names of all tables, virtual ones, too.
SELECT name FROM main.sqlite_schema WHERE type = 'table'
