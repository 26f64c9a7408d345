-- The tables with their sizes, rows and options.
-- MySQL says 4294967295 in the first of the numbers of a table that another session has locked.
SELECT table_name, table_type, engine, row_format, NULLIF(table_rows, 4294967295), data_length, index_length, data_free,
    create_options, table_comment, auto_increment, max_data_length, CAST(UNIX_TIMESTAMP(update_time) AS SIGNED)
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type NOT LIKE '%VIEW'
    AND table_type <> 'TEMPORARY'
