-- The transaction ids used a second since the last checkpoint, which a server that writes makes every few minutes.
SELECT CASE WHEN seconds >= {long} THEN greatest(used, 0) / seconds END
FROM (
    SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8
            - split_part(next_xid, ':', 1)::float8 * 2 ^ 32 - split_part(next_xid, ':', 2)::float8,
        extract(epoch FROM clock_timestamp() - checkpoint_time)::float8
    FROM pg_control_checkpoint()) AS since (used, seconds)
