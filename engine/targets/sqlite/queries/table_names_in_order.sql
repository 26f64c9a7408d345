-- The names of the tables with pages of their own, in order.
SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name
