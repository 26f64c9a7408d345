-- The columns of a table: type, whether it may be NULL, whether it is stored.
SELECT column_name, column_type, is_nullable = 'YES', extra NOT LIKE 'VIRTUAL%%' FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position
