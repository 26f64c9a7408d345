-- The sessions of other processes of this attempt, and what each does.
SELECT pid, CASE WHEN state = 'idle' THEN '' ELSE left(regexp_replace(query, '\s+', ' ', 'g'), 200) END
FROM pg_stat_activity
WHERE datname = current_database() AND starts_with(application_name, %s) AND application_name <> %s
    AND backend_type = 'client backend'
