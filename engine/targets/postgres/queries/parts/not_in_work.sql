-- Whether no session builds, rebuilds or drops an invalid index.
-- Locks tell that: every role sees them, and a rebuild of several indexes reports only one at a time.
x.indexrelid <> ALL (ARRAY(SELECT l.relation {locked_relations} AND l.mode IN (
        'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))
    AND x.indrelid <> ALL (ARRAY(SELECT l.relation {locked_relations} AND l.mode = 'ShareUpdateExclusiveLock'
        AND l.pid IN (SELECT p.pid FROM pg_stat_progress_create_index AS p)))
