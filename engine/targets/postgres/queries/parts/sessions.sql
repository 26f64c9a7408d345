-- The sessions of users, without further ones of this attempt.
-- A role without pg_read_all_stats does not see backend_type of others. A further session of this name is for steps.
(SELECT usesysid, datid FROM pg_stat_activity
WHERE usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    AND (application_name <> current_setting('application_name') OR pid = pg_backend_pid()))
