-- The numbers that InnoDB has for its tables.
SELECT name, CAST(table_id AS SIGNED) FROM information_schema.innodb_tables
