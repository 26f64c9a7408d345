-- Whether the role may read files of the server, and these are as expected.
-- A superuser may, and any role that has EXECUTE on the function.
SELECT current_setting('block_size') = '{page}' AND current_setting('segment_size') = '1GB'
    AND has_function_privilege('pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)', 'EXECUTE')
