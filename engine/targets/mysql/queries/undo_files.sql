-- The undo tablespaces of MariaDB, which tells no state of them.
SELECT name, '{active}', CAST(file_size AS SIGNED) FROM information_schema.innodb_sys_tablespaces
WHERE name LIKE 'innodb\_undo%'
