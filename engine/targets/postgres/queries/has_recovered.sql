-- Whether the server crashed since a moment, and was not restarted: only a crash starts the checkpointer anew.
-- A role that may not see it sees that all statistics were reset, which a crash does, too.
SELECT coalesce(
    pg_postmaster_start_time() < to_timestamp(%(since)s) AND coalesce(
        (SELECT min(backend_start) FROM pg_stat_activity WHERE backend_type = 'checkpointer'),
        CASE WHEN b.stats_reset > to_timestamp(%(since)s) THEN a.stats_reset END
    ) > to_timestamp(%(since)s), false)
FROM pg_stat_bgwriter AS b, pg_stat_archiver AS a
