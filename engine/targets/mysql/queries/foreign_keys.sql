-- The columns of each foreign key, and what they refer to.
SELECT constraint_name, table_name, column_name, referenced_table_schema, referenced_table_name, referenced_column_name
FROM information_schema.key_column_usage
WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL{some}
ORDER BY table_name, constraint_name, ordinal_position
