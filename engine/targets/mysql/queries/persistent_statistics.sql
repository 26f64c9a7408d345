-- When the persistent statistics of each table were collected, and the rows that it had then.
SELECT table_name, CAST(UNIX_TIMESTAMP(last_update) AS SIGNED), CAST(n_rows AS SIGNED) FROM mysql.innodb_table_stats
WHERE database_name = DATABASE()
