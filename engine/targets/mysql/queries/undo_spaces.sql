-- The undo tablespaces of MySQL.
SELECT name, state, CAST(file_size AS SIGNED) FROM information_schema.innodb_tablespaces WHERE space_type = 'Undo'
ORDER BY name
