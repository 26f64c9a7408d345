-- The prepared transactions, with the number by which their locks are known.
-- Only until the server restarts it is that of the session which has prepared it, and the lock on its own xid tells it.
SELECT own.virtualtransaction, quote_literal(x.gid) AS name,
    extract(epoch FROM clock_timestamp() - x.prepared)::float8 AS seconds
FROM pg_prepared_xacts AS x JOIN pg_locks AS own
    ON own.pid IS NULL AND own.locktype = 'transactionid' AND own.granted AND own.transactionid = x.transaction
