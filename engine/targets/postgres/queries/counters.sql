-- Since when the server counts activity, why it does not, and the ages of the database.
SELECT CASE WHEN stats_reset > clock_timestamp() - interval '1 day' THEN stats_reset END,
    CASE WHEN pg_is_in_recovery() THEN 'a standby does not count what happens to tables: ask its primary'
        WHEN NOT current_setting('track_counts')::bool
        THEN 'what happens to tables is not counted: track_counts is off here' ELSE '' END,
    age(d.datfrozenxid), mxid_age(d.datminmxid)
FROM pg_stat_database AS s JOIN pg_database AS d ON d.oid = s.datid WHERE s.datname = current_database()
