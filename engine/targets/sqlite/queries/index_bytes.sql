-- The bytes of all indexes.
-- The plus keeps SQLite from looking each of the names up in a schema of its own.
SELECT coalesce(sum(pgsize), 0) FROM temp.dbstat('main') WHERE aggregate = TRUE
    AND +name IN (SELECT name FROM main.sqlite_schema WHERE type = 'index')
