-- The half dropped databases of the server.
SELECT datname::text FROM pg_database WHERE datconnlimit = -2 ORDER BY 1
