-- What these connections do, and for how long their transactions have been open.
SELECT CAST(p.id AS SIGNED), p.user, p.host, p.command, CAST(p.time AS SIGNED), COALESCE(p.db, ''),
    COALESCE(p.state, ''),
    CAST(TIMESTAMPDIFF(SECOND, x.trx_started, NOW()) AS SIGNED)
FROM information_schema.processlist AS p LEFT JOIN information_schema.innodb_trx AS x ON x.trx_mysql_thread_id = p.id
WHERE p.id IN ({ids})
