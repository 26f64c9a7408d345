-- Inactive slots, standbys and limits of the log; how many slots REPACK may have; pg_repack.
SELECT coalesce((SELECT jsonb_agg(slot_name ORDER BY slot_name) FROM pg_replication_slots
        WHERE NOT active AND restart_lsn IS NOT NULL), '[]'),
    (SELECT count(*) FROM pg_stat_replication WHERE state IN ('streaming', 'catchup'))::int,
    (SELECT max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_lsn() END, replay_lsn)) FROM pg_stat_replication)::int8,
    CASE WHEN coalesce(current_setting('max_slot_wal_keep_size', true), '-1') <> '-1'
        THEN pg_size_bytes(current_setting('max_slot_wal_keep_size')) END,
    coalesce(current_setting('max_repack_replication_slots', true)::int, 0),
    (SELECT extversion FROM pg_extension WHERE extname = 'pg_repack'),
    EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_repack')
