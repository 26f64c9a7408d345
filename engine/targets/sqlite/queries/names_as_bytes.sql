-- The names of tables and indexes as bytes, which may be no UTF-8.
-- Text stored as UTF-16 is always valid once SQLite has converted it to UTF-8.
SELECT CAST(name AS BLOB) FROM main.sqlite_schema
WHERE type IN ('table', 'index') AND (SELECT encoding FROM temp.pragma_encoding) = 'UTF-8'
