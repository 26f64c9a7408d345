-- A session as JSON. Only the first word of a command is shown, without leading comments.
jsonb_build_object('pid', b.pid, 'who', concat_ws(', ', nullif(b.application_name, ''), b.usename),
    'state', coalesce(b.state, b.backend_type, 'of another role'),
    'does', CASE WHEN b.state = 'active' THEN upper(substring(
        regexp_replace(left(b.query, 2000), '^(\s|\(|--[^\n]*\n|/\*([^*]|\*(?!/))*\*/)+', '')
        FROM '^[[:alpha:]]{1,20}')) ELSE b.state END,
    'seconds', extract(epoch FROM clock_timestamp()
        - coalesce(CASE WHEN starts_with(b.state, 'idle') THEN b.state_change END, b.xact_start, b.state_change)))
