-- The age of the oldest histogram of each table of MySQL.
SELECT table_name, CAST(TIMESTAMPDIFF(
    SECOND, MIN(CAST(histogram->>'$."last-updated"' AS DATETIME)), UTC_TIMESTAMP()) AS SIGNED)
FROM information_schema.column_statistics WHERE schema_name = DATABASE() GROUP BY table_name
