-- The number of tables and indexes.
SELECT count(*) FROM main.sqlite_schema WHERE rootpage > 0
