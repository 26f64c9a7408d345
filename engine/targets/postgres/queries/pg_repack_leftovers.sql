-- The tables where an interrupted pg_repack left something, and none works.
-- The second half of the lock is the oid as a signed number, which pg_locks shows without its sign.
SELECT DISTINCT l.oid FROM (
    SELECT substring(c.relname FROM '[0-9]+$')::int8 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'repack' AND c.relname ~ '^(log|table|pk)_[0-9]{1,10}$'
    UNION ALL SELECT t.tgrelid::int8 FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE t.tgname = 'repack_trigger' AND n.nspname = 'repack') AS l (oid)
WHERE EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_repack')
    AND NOT EXISTS (SELECT FROM pg_locks AS k WHERE k.locktype = 'advisory' AND k.classid = {lock} AND k.objsubid = 2
    AND k.objid::int8 = (l.oid + 2147483648) % 4294967296
    AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
