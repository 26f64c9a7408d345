-- The databases of the server, and whether the role may connect to each.
-- A half dropped database has a connection limit of -2; no limit holds for superusers. template0 is always closed.
SELECT datname::text, CASE WHEN datconnlimit = -2 THEN 'invalid'
    WHEN NOT datallowconn OR datconnlimit = 0
        AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN 'closed'
    WHEN pg_catalog.has_database_privilege(oid, 'CONNECT') THEN 'open' ELSE 'no_right' END
FROM pg_catalog.pg_database WHERE datallowconn OR datname <> 'template0' ORDER BY 1
