-- The views with their SQL.
SELECT CAST(name AS TEXT), CAST(sql AS TEXT) FROM main.sqlite_schema WHERE type = 'view'
