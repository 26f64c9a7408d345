-- The server, the database, the role and its limits.
SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_backend_pid(),
    current_database()::text, (SELECT oid::int8 FROM pg_database WHERE datname = current_database()),
    (SELECT system_identifier::text FROM pg_control_system()), current_user::text,
    current_setting('is_superuser') = 'on', pg_is_in_recovery(),
    current_setting('default_transaction_read_only') = 'on', pg_postmaster_start_time()::text,
    extract(epoch FROM clock_timestamp())::float8, session_user::text,
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = session_user AND NOT rolsuper),
    (SELECT nullif(datconnlimit, -1) FROM pg_database, pg_roles
        WHERE datname = current_database() AND rolname = session_user AND NOT rolsuper),
    current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('search_path')
