-- Whether the role may read when the last checkpoint was.
SELECT has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE')
