-- Who holds metadata locks on these tables, as a plugin of MariaDB knows.
SELECT DISTINCT CAST(thread_id AS SIGNED), table_name FROM information_schema.metadata_lock_info
WHERE lock_type = 'Table metadata lock' AND table_schema = DATABASE() AND table_name IN ({names})
