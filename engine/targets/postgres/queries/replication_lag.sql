-- The standby that is most bytes behind.
SELECT application_name, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::int8,
    coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn) <= %s, false), extract(epoch FROM replay_lag)::float8
FROM pg_stat_replication WHERE replay_lsn IS NOT NULL AND application_name <> ALL(%s) ORDER BY 2 DESC LIMIT 1
