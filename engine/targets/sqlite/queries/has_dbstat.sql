-- A row if this SQLite can describe single pages.
SELECT 1 FROM temp.pragma_compile_options WHERE compile_options = 'ENABLE_DBSTAT_VTAB'
