-- The columns whose histograms ANALYZE TABLE renews, as the server does when it collects statistics by itself.
SELECT table_name, column_name FROM information_schema.column_statistics
WHERE schema_name = DATABASE() AND histogram->>'$."auto-update"' = 'true'
