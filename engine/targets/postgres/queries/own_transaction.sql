-- The process of this session, and its transaction.
-- Each transaction of a backend has the next number; search_path may be anybody's.
SELECT pg_catalog.pg_backend_pid(), virtualtransaction FROM pg_catalog.pg_locks
WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
    AND locktype OPERATOR(pg_catalog.=) 'virtualxid'::pg_catalog.text
