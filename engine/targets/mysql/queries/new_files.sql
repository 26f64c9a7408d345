-- The files that ALTER TABLE of MariaDB writes: each name ends with the connection in hexadecimal digits.
SELECT SUBSTRING_INDEX(name, '-', -1), CAST(file_size AS SIGNED) FROM information_schema.innodb_sys_tablespaces
WHERE name LIKE '%/#sql-alter-%'
