-- The schemas of the database.
SELECT nspname FROM pg_namespace
