-- Who works on this database: another attempt, or what is left of an earlier one.
SELECT l.pid, concat_ws(', ', nullif(a.application_name, ''), a.usename,
    'host ' || coalesce(a.client_hostname, pg_catalog.host(a.client_addr)))
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = {class_} AND l.objsubid = 2 AND l.granted
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND (l.objid = {attempt} AND l.pid <> pg_catalog.pg_backend_pid()
        OR l.objid = {work} AND l.pid <> ALL (%s::int[]))
ORDER BY l.objid, l.pid LIMIT 4
