-- How many foreign keys each table has.
SELECT t.name, count(DISTINCT k.id) FROM main.sqlite_schema AS t, temp.pragma_foreign_key_list(t.name, 'main') AS k
WHERE t.type = 'table' AND t.rootpage > 0 GROUP BY t.name
