-- The progress views of this version.
SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relname ~ '^pg_stat_progress_'
