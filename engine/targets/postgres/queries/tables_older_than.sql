-- The tables that are at least so old by both counters.
SELECT c.oid::int8 FROM pg_class AS c LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'm') AND greatest(age(c.relfrozenxid), age(toast.relfrozenxid)) >= %s
    AND greatest(mxid_age(c.relminmxid), mxid_age(toast.relminmxid)) >= %s
