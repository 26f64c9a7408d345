-- The length of each file of InnoDB, and what it takes on disk.
-- if mariadb
{files_of_mariadb file_size, allocated_size; innodb_sys_tablespaces}
-- else
SELECT name, file_size, allocated_size FROM information_schema.innodb_tablespaces
-- end
