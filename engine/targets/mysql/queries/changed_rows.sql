-- The rows of each table that changed since InnoDB last collected statistics.
-- if mariadb
{files_of_mariadb modified_counter; innodb_sys_tablestats}
-- else
SELECT name, modified_counter FROM information_schema.innodb_tablestats
-- end
