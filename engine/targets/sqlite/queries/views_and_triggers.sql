-- The views and triggers with their SQL.
SELECT name, type, sql FROM main.sqlite_schema WHERE type IN ('view', 'trigger') AND sql IS NOT NULL
