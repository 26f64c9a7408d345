-- What each of these processes does: one row for each, whatever columns the progress views have in this version.
SELECT jsonb_build_object('pid', a.pid, 'state', a.state, 'wait_event_type', a.wait_event_type,
    'wait_event', a.wait_event{views}) FROM pg_stat_activity AS a WHERE a.pid = ANY (%s)
