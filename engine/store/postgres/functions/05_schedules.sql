-- Schedules: the state of each, and the record of each of its due times. A due time has one record, however many hosts
-- try to fire it.

-- Save the schedules that a worker has read. Due times count from `since` on where a schedule is new or has changed, or
-- was saved while the clock was ahead.
CREATE OR REPLACE FUNCTION observe_schedules(seen jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO schedule AS s (name, start, config, since)
    SELECT x.* FROM jsonb_to_recordset(seen) AS x (name text, start text, config text, since bigint) ORDER BY x.name
    ON CONFLICT (name) DO UPDATE SET start = excluded.start, config = excluded.config,
        since = CASE WHEN s.start = excluded.start THEN least(s.since, excluded.since) ELSE excluded.since END
    WHERE s.start <> excluded.start OR s.config <> excluded.config OR s.since > excluded.since
$$;

CREATE OR REPLACE FUNCTION forget_schedules(names text[]) RETURNS void LANGUAGE sql
AS $$ DELETE FROM schedule WHERE name = ANY (names) AND disabled_at IS NULL $$;

CREATE OR REPLACE FUNCTION enable_schedule(which text, at bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE schedule SET disabled_at = NULL, disabled_by = '', since = greatest(since, coalesce(at, now_micros()))
    WHERE name = which AND disabled_at IS NOT NULL
$$;

CREATE OR REPLACE FUNCTION disable_schedule(which text, who text, at bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO schedule AS s (name, start, config, since, disabled_at, disabled_by)
    SELECT which, '', '', t, t, with_role(who) FROM (SELECT coalesce(at, now_micros())) AS now (t)
    ON CONFLICT (name) DO UPDATE SET disabled_at = excluded.disabled_at, disabled_by = excluded.disabled_by
    WHERE s.disabled_at IS NULL
$$;

-- Whether a firing may be recorded: its schedule is enabled, and its due time has no record. A miss that was recorded
-- while the clock was ahead, before the due time, does not count.
CREATE OR REPLACE FUNCTION may_record(f jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (
        SELECT FROM schedule WHERE name = f ->> 'schedule' AND disabled_at IS NOT NULL
            AND f ->> 'reason' IS DISTINCT FROM 'by_hand'
    ) AND NOT EXISTS (
        SELECT FROM firing WHERE schedule = f ->> 'schedule' AND due_at = (f ->> 'due_at')::bigint
            AND NOT (status = 'missed' AND recorded_at > (f ->> 'recorded_at')::bigint))
$$;

CREATE OR REPLACE FUNCTION insert_firing(f jsonb) RETURNS firing LANGUAGE sql AS $$
    INSERT INTO firing (schedule, due_at, status, reason, error, batch_id, jobs, recorded_at)
    VALUES (f ->> 'schedule', (f ->> 'due_at')::bigint, f ->> 'status', f ->> 'reason', f ->> 'error',
        (f ->> 'batch')::bigint, (f ->> 'jobs')::integer, (f ->> 'recorded_at')::bigint)
    ON CONFLICT (schedule, due_at) DO UPDATE SET status = excluded.status, reason = excluded.reason,
        error = excluded.error, batch_id = excluded.batch_id, jobs = excluded.jobs, recorded_at = excluded.recorded_at
    RETURNING *
$$;

-- The batch of the last firing of a schedule, if that has not ended. Only its newest one can be open.
CREATE OR REPLACE FUNCTION open_batch(which text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT batch FROM (SELECT max(batch_id) FROM firing WHERE schedule = which) AS newest (batch)
    WHERE EXISTS (SELECT FROM parent_job WHERE batch_id = batch AND status IN ('pending', 'running'))
$$;

-- Record that a due time fires, and submit its jobs. Returns no row and writes nothing if another process was first. If
-- jobs of an earlier firing are open, this one is recorded as skipped, unless a person started it.
CREATE OR REPLACE FUNCTION fire(
    f jsonb, jobs jsonb, new_batch jsonb, submission_name text, run text, who text, at bigint
) RETURNS SETOF firing LANGUAGE plpgsql AS $$
DECLARE first bigint;
BEGIN
    PERFORM through_gate();
    PERFORM pg_advisory_xact_lock({SUBMITS});  -- processes that fire the same due time wait here for each other
    IF NOT may_record(f) THEN RETURN; END IF;
    IF open_batch(f ->> 'schedule') IS NOT NULL THEN
        IF f ->> 'reason' = 'by_hand' THEN RETURN; END IF;
        f := f || '{"status": "skipped", "reason": "still_running"}';
    ELSIF jsonb_array_length(jobs) > 0 THEN
        first := (submit(jobs, 'add', new_batch, submission_name, run, who, at))[1];
        f := f || jsonb_build_object(
            'batch', (SELECT batch_id FROM parent_job WHERE id = first), 'jobs', jsonb_array_length(jobs)
        );
    ELSE
        f := f || jsonb_build_object('reason', coalesce(f ->> 'reason', 'not_needed'), 'jobs', 0);
    END IF;
    RETURN NEXT insert_firing(f);
END $$;

-- Record due times that did not fire. Returns those that no other process had recorded before.
CREATE OR REPLACE FUNCTION record_firings(firings jsonb) RETURNS SETOF firing LANGUAGE plpgsql AS $$
DECLARE f jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock({SUBMITS});
    FOR f IN SELECT * FROM jsonb_array_elements(firings) LOOP
        IF may_record(f) THEN RETURN NEXT insert_firing(f); END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION prune_firings(oldest bigint, kept_of_each integer) RETURNS void LANGUAGE sql AS $$
    DELETE FROM firing WHERE due_at < oldest;
    DELETE FROM firing AS f USING (
        SELECT schedule, due_at, row_number() OVER (PARTITION BY schedule ORDER BY due_at DESC) AS place FROM firing
    ) AS placed
    WHERE (placed.schedule, placed.due_at) = (f.schedule, f.due_at) AND placed.place > kept_of_each
$$;
