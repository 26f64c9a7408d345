-- Ages of transaction ids and multixacts of a table, each with its limit.
CASE WHEN c.relkind = 'p' THEN 0 ELSE greatest(age(c.relfrozenxid), age(toast.relfrozenxid)) END,
    least((SELECT current_setting('autovacuum_freeze_max_age')::int8), (opt ->> 'autovacuum_freeze_max_age')::int8),
    CASE WHEN c.relkind = 'p' THEN 0 ELSE greatest(mxid_age(c.relminmxid), mxid_age(toast.relminmxid)) END,
    least((SELECT current_setting('autovacuum_multixact_freeze_max_age')::int8),
        (opt ->> 'autovacuum_multixact_freeze_max_age')::int8)
