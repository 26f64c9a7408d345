-- The connection of the oldest transaction, and for how many seconds that has been open.
SELECT CAST(trx_mysql_thread_id AS SIGNED), CAST(TIMESTAMPDIFF(SECOND, trx_started, NOW()) AS SIGNED)
FROM information_schema.innodb_trx ORDER BY trx_started LIMIT 1
