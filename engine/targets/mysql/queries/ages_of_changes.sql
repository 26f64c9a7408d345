-- How many seconds ago each table was last changed.
SELECT table_name, CAST(TIMESTAMPDIFF(SECOND, update_time, NOW()) AS SIGNED) FROM information_schema.tables
WHERE table_schema = DATABASE() AND update_time IS NOT NULL
