-- The settings that this session has set.
SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session'
