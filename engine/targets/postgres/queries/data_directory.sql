-- The data directory: only roles with pg_read_all_settings may read it.
SELECT CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END
