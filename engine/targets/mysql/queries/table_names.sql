-- The tables by name and engine: none is opened.
SELECT table_name, table_type, engine FROM information_schema.tables WHERE table_schema = DATABASE()
    AND table_type NOT LIKE '%VIEW' AND table_type <> 'TEMPORARY'
