-- What changes a child while another process may own it: cancels, time limits, whether a process is dead, and the rescue from it.

CREATE OR REPLACE FUNCTION no_such_job(p bigint, o integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no such job' USING ERRCODE = 'DT004', DETAIL = json_build_array(p, o);
END $$;

CREATE OR REPLACE FUNCTION ask_running_to_stop(p bigint, o integer, why text, at bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE child_job SET cancel_requested_at = greatest(at, changed_at), cancel_reason = why,
        changed_at = greatest(at, changed_at)
    WHERE parent_id = p AND (o IS NULL OR ordinal = o) AND status = 'running' AND cancel_requested_at IS NULL
$$;

-- Skip the children that must not run because a check that they depend on is cancelled.
CREATE OR REPLACE FUNCTION skip_dependents(p bigint, o integer, at bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM child_job AS c JOIN parent_job AS j ON j.id = c.parent_id
        WHERE c.parent_id = p AND c.ordinal = o AND c.status = 'cancelled' AND others_wait_for(j, c)
    ) THEN
        PERFORM end_pending(p, 'skipped', 'previous_failed', at);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION end_or_ask_to_stop(p bigint, o integer, why text, who text, at bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF o IS NULL THEN
        UPDATE parent_job SET cancel_requested_at = coalesce(cancel_requested_at, at),
            cancelled_by = CASE WHEN EXISTS (
                SELECT FROM child_job
                WHERE parent_id = p AND (status = 'pending' OR status = 'running' AND cancel_requested_at IS NULL)
            ) THEN coalesce(cancelled_by, with_role(who)) ELSE cancelled_by END
        WHERE id = p AND finished_at IS NULL;
    END IF;
    PERFORM end_pending(p, 'cancelled', why, at, o);
    UPDATE child_job SET status = 'cancelled', due = false, reason = coalesce(cancel_reason, why),
        error = phrase('not_recovered'), finished_at = greatest(at, changed_at), changed_at = greatest(at, changed_at)
    WHERE parent_id = p AND (o IS NULL OR ordinal = o) AND status = 'pending' AND recovering;
    PERFORM ask_running_to_stop(p, o, why, at);
    IF o IS NOT NULL THEN PERFORM skip_dependents(p, o, at); END IF;
END $$;

-- Cancel the pending children of a parent, or the one at `o`, at once; ask running ones to stop.
CREATE OR REPLACE FUNCTION request_cancel(p bigint, o integer, why text, who text, at bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    at := coalesce(at, now_micros());
    PERFORM lock_parents(ARRAY[p]);
    IF NOT EXISTS (SELECT FROM child_job WHERE parent_id = p AND (o IS NULL OR ordinal = o)) THEN
        PERFORM no_such_job(p, o);
    END IF;
    PERFORM end_or_ask_to_stop(p, o, why, who, at);
    PERFORM update_parent(p, at);
END $$;

CREATE OR REPLACE FUNCTION cancel_all(ids bigint[], why text, who text, at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE p bigint;
BEGIN
    at := coalesce(at, now_micros());
    PERFORM lock_parents(ids);
    FOR p IN SELECT id FROM parent_job WHERE id = ANY (ids) ORDER BY id LOOP
        PERFORM end_or_ask_to_stop(p, NULL, why, who, at);
    END LOOP;
    -- After all cancels: else a cancelled canary would make the others end as skipped.
    FOR p IN SELECT id FROM parent_job WHERE id = ANY (ids) ORDER BY id LOOP
        PERFORM update_parent(p, at);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION cancel_batch(number bigint, who text, at bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM through_gate();
    PERFORM FROM batch WHERE id = number FOR UPDATE;
    IF NOT FOUND THEN RAISE EXCEPTION 'no such batch' USING ERRCODE = 'DT005', DETAIL = number; END IF;
    -- Those that are still to come, too.
    UPDATE batch SET cancelled_by = coalesce(cancelled_by, with_role(who)) WHERE id = number AND unsubmitted > 0;
    PERFORM cancel_all(
        ARRAY(SELECT id FROM parent_job WHERE batch_id = number AND status IN ('pending', 'running')),
        'cancelled_by_user', who, at);
END $$;

-- Request a cancel of a running child, and record that its worker will be killed. Returns false if the worker no longer
-- runs it.
CREATE OR REPLACE FUNCTION request_force(
    p bigint, o integer, running_p bigint, running_o integer, worker_id text, why text, who text, at bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    at := coalesce(at, now_micros());
    PERFORM lock_parents(ARRAY[p, running_p]);
    IF NOT EXISTS (
        SELECT FROM child_job WHERE (parent_id, ordinal) = (running_p, running_o) AND owner = worker_id
    ) THEN RETURN false; END IF;
    PERFORM request_cancel(p, o, why, who, at);
    UPDATE child_job SET force_requested_at = greatest(at, cancel_requested_at)
    WHERE (parent_id, ordinal) = (running_p, running_o);
    RETURN true;
END $$;

-- Parents past their time limit that have pending children to skip, or running ones to stop.
CREATE OR REPLACE FUNCTION late_parents(at bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT j.id FROM parent_job AS j
        WHERE j.deadline_at <= at AND j.deadline_at IS NOT NULL AND j.finished_at IS NULL AND EXISTS (
            SELECT FROM child_job AS c WHERE c.parent_id = j.id AND (
                c.status = 'pending' AND NOT c.recovering
                OR c.status = 'running' AND c.cancel_requested_at IS NULL
                    AND (j.options::jsonb -> 'stop_at_limit')::boolean)))
$$;

-- Skip the pending children of these parents, and ask running ones to stop if the request says so. The caller has locked
-- the parents.
CREATE OR REPLACE FUNCTION end_late(late bigint[], at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE p bigint;
BEGIN
    FOREACH p IN ARRAY late LOOP
        PERFORM end_pending(p, 'skipped', 'time_limit', at);
        IF (SELECT (options::jsonb -> 'stop_at_limit')::boolean FROM parent_job WHERE id = p) THEN
            PERFORM ask_running_to_stop(p, NULL, 'time_limit', at);
        END IF;
    END LOOP;
    -- After all limits: jobs that wait for a canary end for the limit, too, not because of the canary.
    FOREACH p IN ARRAY late LOOP
        PERFORM update_parent(p, at);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION enforce_time_limits(at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE late bigint[];
BEGIN
    at := coalesce(at, now_micros());
    late := late_parents(at);
    IF late = '{}' THEN RETURN; END IF;
    PERFORM lock_parents(late);
    PERFORM end_late(late, at);
END $$;

-- Release held children whose time to start has come, unless they also wait for a canary.
CREATE OR REPLACE FUNCTION let_start(at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    j parent_job;
    due_ids bigint[];
BEGIN
    at := coalesce(at, now_micros());
    due_ids := ARRAY(
        SELECT DISTINCT parent_id FROM child_job
        WHERE status = 'pending' AND held AND starts_at IS NOT NULL AND starts_at <= at);
    IF due_ids = '{}' THEN RETURN; END IF;
    PERFORM lock_parents(due_ids);
    FOR j IN SELECT * FROM parent_job WHERE id = ANY (due_ids) ORDER BY id LOOP
        UPDATE child_job SET starts_at = NULL, changed_at = greatest(at, changed_at),
            held = NOT j.canary AND j.batch_id IS NOT NULL AND EXISTS (
                SELECT FROM parent_job
                WHERE batch_id = j.batch_id AND canary AND status IN ('pending', 'running'))
        WHERE parent_id = j.id AND status = 'pending' AND held;
    END LOOP;
END $$;

-- The time of the first session of dbtend after the newest start of the server. It may be long after that start, as the
-- recovery from a crash takes time.
CREATE OR REPLACE FUNCTION note_server_start() RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE seen timestamptz := (SELECT seen_at FROM server_start WHERE started_at = pg_postmaster_start_time());
BEGIN
    IF seen IS NOT NULL THEN RETURN seen; END IF;
    INSERT INTO server_start (started_at, seen_at) VALUES (pg_postmaster_start_time(), clock_timestamp())
    ON CONFLICT (one) DO UPDATE SET started_at = excluded.started_at, seen_at = CASE server_start.started_at
        WHEN excluded.started_at THEN server_start.seen_at ELSE excluded.seen_at END
    RETURNING seen_at INTO seen;
    RETURN seen;
END $$;

-- How long nobody counts as dead after a start of the server: living processes take their locks again.
CREATE OR REPLACE FUNCTION grace() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '{GRACE} s' $$;

-- Whether a worker or run is dead: no session holds its lock. Keeps the lock until the transaction ends, so that two
-- processes never rescue the same children.
CREATE OR REPLACE FUNCTION is_dead(number integer) RETURNS boolean LANGUAGE sql VOLATILE AS $$
    SELECT note_server_start() + grace() <= clock_timestamp()
        AND pg_try_advisory_xact_lock({WORKERS}, number)
$$;

-- Take over the running children of a worker, if it is dead, and remove it. A child runs again if attempts are left. If none is left, or
-- a cancel was requested, its database is recovered first. A child ends at once if its recovery died, or if its file was
-- overwritten.
--
-- by_signal, died: the signal that ended the worker, if known, and what it means as text. overwritten: the error of each
-- child whose file was overwritten, by its id.
CREATE OR REPLACE FUNCTION rescue(worker_id text, by_signal integer, died text, overwritten jsonb, at bigint) RETURNS SETOF child_job
LANGUAGE plpgsql AS $$
DECLARE
    w worker;
    c child_job;
    j parent_job;
    why text;
    file_error text;
BEGIN
    at := coalesce(at, now_micros());
    PERFORM end_claims(worker_id);
    SELECT * INTO w FROM worker WHERE id = worker_id FOR UPDATE;
    IF NOT FOUND OR NOT is_dead(w.number) THEN RETURN; END IF;
    PERFORM lock_parents(ARRAY(SELECT parent_id FROM child_job WHERE owner = worker_id));
    FOR c IN SELECT * FROM child_job WHERE owner = worker_id ORDER BY parent_id, ordinal LOOP
        SELECT * INTO j FROM parent_job WHERE id = c.parent_id;
        why := CASE WHEN c.force_requested_at >= c.started_at THEN phrase('killed') ELSE died END;
        file_error := overwritten ->> format('%s.%s', c.parent_id, c.ordinal);
        IF file_error IS NOT NULL THEN
            why := phrase('overwritten');
            PERFORM keep_attempt(c, 'failed', 'owner_lost', at, by_signal);
            UPDATE child_job SET status = 'failed', reason = 'owner_lost', error = file_error, owner = NULL, phase = NULL,
                waits_for = NULL, after = '{"file_overwritten": true}', finished_at = greatest(at, started_at),
                changed_at = greatest(at, changed_at)
            WHERE (parent_id, ordinal) = (c.parent_id, c.ordinal);
            PERFORM end_pending(c.parent_id, 'skipped', 'previous_failed', at);
        ELSIF c.recovering THEN
            PERFORM end_recovery(c, j, died, at);
        ELSE
            PERFORM keep_attempt(c, 'failed', 'owner_lost', at, by_signal);
            PERFORM back_to_pending(
                c, c.cancel_requested_at IS NOT NULL OR c.attempt >= c.max_attempts OR coalesce(j.deadline_at <= at, false),
                0, at);
        END IF;
        UPDATE step SET status = 'failed', finished_at = greatest(at, started_at), error = why
        WHERE (parent_id, ordinal, attempt) = (c.parent_id, c.ordinal, c.attempt) AND status = 'running';
        PERFORM update_parent(c.parent_id, at);
        RETURN NEXT c;
    END LOOP;
    DELETE FROM worker WHERE id = worker_id;
END $$;

CREATE OR REPLACE FUNCTION end_recovery(c child_job, j parent_job, died text, at bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    deaths integer := (
        SELECT count(*) FROM attempt
        WHERE (parent_id, ordinal) = (c.parent_id, c.ordinal) AND reason = 'owner_lost');
    is_cancelled boolean := c.cancel_requested_at IS NOT NULL;
BEGIN
    UPDATE child_job SET owner = NULL, phase = NULL, waits_for = NULL, finished_at = greatest(at, started_at),
        changed_at = greatest(at, changed_at), status = CASE WHEN is_cancelled THEN 'cancelled' ELSE 'failed' END,
        reason = CASE WHEN is_cancelled THEN coalesce(cancel_reason, 'cancelled_by_user') ELSE 'owner_lost' END,
        error = CASE WHEN is_cancelled THEN phrase('recovery_failed') ELSE died
            || CASE WHEN deaths > 1 THEN format(', %s times', to_char(deaths, 'FM999,999,999')) ELSE '' END
            || ', ' || phrase('recovery_died_too') END
    WHERE (parent_id, ordinal) = (c.parent_id, c.ordinal);
    IF is_cancelled THEN
        PERFORM skip_dependents(c.parent_id, c.ordinal, at);
    ELSIF stops_on_failure(j, c, NULL) THEN
        PERFORM end_pending(c.parent_id, 'skipped', 'previous_failed', at);
    END IF;
END $$;

-- Let any process claim the open children that are reserved for a run, and remove the run, if it is dead, asks for it
-- itself, or is not known.
CREATE OR REPLACE FUNCTION release_from(run text, at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE w worker;
BEGIN
    at := coalesce(at, now_micros());
    SELECT * INTO w FROM worker WHERE id = run FOR UPDATE;
    IF FOUND AND NOT (w.is_run AND (lives(w.number, pg_backend_pid()) OR is_dead(w.number))) THEN RETURN; END IF;
    PERFORM lock_parents(ARRAY(
        SELECT DISTINCT parent_id FROM child_job WHERE reserved_by = run AND finished_at IS NULL));
    UPDATE child_job SET reserved_by = NULL, changed_at = greatest(at, changed_at)
    WHERE reserved_by = run AND finished_at IS NULL;
    DELETE FROM worker WHERE id = run;
END $$;
