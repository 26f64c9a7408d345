-- The tables with old transaction ids or multixacts, with their limits: of thousands few.
-- No table is older than its database; the limit of a table may be lower.
SELECT oid, xids, xid_limit, multixacts, multixact_limit, current_setting('vacuum_freeze_min_age')::int8,
    current_setting('vacuum_multixact_freeze_min_age')::int8
FROM (SELECT c.oid::int8, {ages} {tables_with_options} WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
    AND (c.reloptions IS NOT NULL
        OR (SELECT age(d.datfrozenxid) >= least({soon} * current_setting('autovacuum_freeze_max_age')::int8, {danger})
                OR mxid_age(d.datminmxid)
                    >= least({soon} * current_setting('autovacuum_multixact_freeze_max_age')::int8, {danger})
            FROM pg_database AS d WHERE d.datname = current_database())))
    AS one (oid, xids, xid_limit, multixacts, multixact_limit)
WHERE xids >= least({soon} * xid_limit, {danger}) OR multixacts >= least({soon} * multixact_limit, {danger})
