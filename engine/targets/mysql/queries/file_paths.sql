-- The path of each file of InnoDB, from the data directory of the server.
-- if mariadb
{files_of_mariadb filename; innodb_sys_tablespaces}
-- else
SELECT name, path FROM information_schema.innodb_tablespaces_brief
-- end
