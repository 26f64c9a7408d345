-- The connections that have an open transaction.
SELECT CAST(trx_mysql_thread_id AS SIGNED) FROM information_schema.innodb_trx
