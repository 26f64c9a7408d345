-- The other databases of the server from this age on, and whether each allows connections.
SELECT datname::text, datallowconn FROM pg_database
WHERE datname <> current_database() AND datconnlimit <> -2 AND greatest(age(datfrozenxid), mxid_age(datminmxid)) >= %s
ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC, datname
