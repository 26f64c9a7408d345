-- The tables that ANALYZE empties.
SELECT name FROM main.sqlite_schema
WHERE type = 'table' AND rootpage > 0 AND name IN ('sqlite_stat1', 'sqlite_stat3', 'sqlite_stat4')
