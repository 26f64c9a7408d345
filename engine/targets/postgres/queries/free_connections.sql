-- How many more connections the server takes, and how many the role and the database, where these have limits.
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
        - (SELECT count(*) FROM {sessions} AS s)::int,
    CASE WHEN NOT r.rolsuper THEN least(
        CASE WHEN r.rolconnlimit >= 0 THEN
            r.rolconnlimit - (SELECT count(*) FROM {sessions} AS s WHERE s.usesysid = r.oid) END,
        CASE WHEN d.datconnlimit >= 0 THEN
            d.datconnlimit - (SELECT count(*) FROM {sessions} AS s WHERE s.datid = d.oid) END)::int END
FROM pg_roles AS r, pg_database AS d WHERE r.rolname = session_user AND d.datname = current_database()
