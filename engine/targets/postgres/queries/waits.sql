-- For which sessions and prepared transactions each of these processes waits, and how many sessions wait for it.
-- The server takes some milliseconds to plan it. pg_blocking_pids gives 0 for a prepared transaction; the awaited lock
-- identifies it. How many wait is costly, so only for steps with --yield-after.
SELECT jsonb_build_object('pid', a.pid, 'blockers', CASE WHEN {waits_for_another} THEN (
    SELECT jsonb_agg({session}) FROM pg_stat_activity AS b WHERE b.pid = ANY (pg_blocking_pids(a.pid))) END,
'prepared_blockers', CASE WHEN ({waits_for_another}) AND 0 = ANY (pg_blocking_pids(a.pid)) THEN (
    SELECT jsonb_agg(DISTINCT jsonb_build_array(p.name, p.seconds))
    FROM pg_locks AS w JOIN pg_locks AS l
        ON (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid,
            w.objsubid) IS NOT DISTINCT FROM (l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid,
            l.transactionid, l.classid, l.objid, l.objsubid)
    JOIN ({prepared}) AS p ON p.virtualtransaction = l.virtualtransaction
    WHERE w.pid = a.pid AND NOT w.granted AND l.pid IS NULL AND l.granted
        AND l.mode = ANY (CASE w.mode {conflicts} ELSE '{AccessExclusiveLock}' END)) END,
'queued', CASE WHEN a.pid = ANY (%s) THEN (SELECT count(*) FROM pg_stat_activity AS w
    WHERE w.wait_event_type = 'Lock' AND a.pid = ANY (pg_blocking_pids(w.pid))) END)
FROM pg_stat_activity AS a WHERE a.pid = ANY (%s)
