-- The bytes of all indexes: reads only their own pages, but looks each name up.
SELECT coalesce(sum(pgsize), 0) FROM main.sqlite_schema AS i CROSS JOIN temp.dbstat('main') AS s ON s.name = i.name
WHERE i.type = 'index' AND s.aggregate = TRUE
