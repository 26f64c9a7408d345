-- The size and the rows of a table.
SELECT CAST(NULLIF(data_length, 4294967295) + index_length AS SIGNED), NULLIF(table_rows, 4294967295)
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s
