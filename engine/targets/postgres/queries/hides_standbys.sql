-- Whether the role does not see how far standbys are.
-- A role without pg_read_all_stats sees the row of a standby, but no values.
SELECT count(*) > 0 FROM pg_stat_replication WHERE state IS NULL
