-- The sessions of this name, and what each does.
SELECT pid, left(query, 200) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = %s AND backend_type = 'client backend'
