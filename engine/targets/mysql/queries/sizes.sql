-- The sizes of the tables, and what is free in them.
SELECT table_name, CAST(NULLIF(data_length, 4294967295) + index_length AS SIGNED), CAST(data_free AS SIGNED),
    create_options
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type NOT LIKE '%VIEW'
