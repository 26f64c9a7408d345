-- The columns that are computed, or number the rows.
SELECT table_name, column_name, column_type, extra FROM information_schema.columns
WHERE table_schema = DATABASE() AND (extra LIKE 'VIRTUAL%' OR extra LIKE '%auto_increment%')
