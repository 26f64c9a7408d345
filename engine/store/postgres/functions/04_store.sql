-- The store as a whole: worker processes, pause, pins, retention.

-- Whether a session holds the lock of the worker with this number; `session`: this one.
CREATE OR REPLACE FUNCTION lives(worker_number integer, session integer DEFAULT NULL) RETURNS boolean LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = {WORKERS} AND objid = worker_number
            AND (session IS NULL OR pid = session) AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
$$;

-- Whether two machines differ in their id or their start, where both are known.
CREATE OR REPLACE FUNCTION is_other_machine(one text, other text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT EXISTS (
        SELECT FROM unnest(string_to_array(one, '/'), string_to_array(other, '/'))
            WITH ORDINALITY AS part (of_one, of_other, number)
        WHERE number <= 2 AND of_one <> of_other AND '' NOT IN (of_one, of_other))
$$;

-- Register a worker process or a run, in its own session, which takes the lock before other sessions can see the row.
CREATE OR REPLACE FUNCTION register_worker(
    name text, process integer, host_name text, machine_id text, release text, its_queues text[], all_jobs boolean,
    of_pool integer, size integer, jobs text, for_run boolean, at bigint
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE given integer;
BEGIN
    at := coalesce(at, now_micros());
    PERFORM note_server_start();
    PERFORM pg_advisory_xact_lock({HOSTS}, hashtext(host_name));
    IF EXISTS (
        SELECT FROM worker AS w
        WHERE w.host = host_name AND is_other_machine(w.machine, machine_id) AND lives(w.number))
    THEN
        RAISE EXCEPTION 'another machine has this name' USING ERRCODE = 'DT006', DETAIL = host_name;
    END IF;
    INSERT INTO worker (
        id, is_run, session, pid, host, machine, version, queues, serves_all, pool, pool_size, own_jobs, started_at,
        beat_at)
    VALUES (
        name, for_run, pg_backend_pid(), process, host_name, machine_id, release, its_queues, all_jobs, of_pool, size,
        jobs, at, at)
    RETURNING number INTO given;
    PERFORM pg_advisory_lock({WORKERS}, given);
    RETURN given;
END $$;

-- The session that proves that a worker lives; NULL if the worker was declared dead. Locks the worker's row.
CREATE OR REPLACE FUNCTION session_of(name text) RETURNS integer LANGUAGE sql VOLATILE
AS $$ SELECT session FROM worker WHERE id = name FOR UPDATE $$;

CREATE OR REPLACE FUNCTION take_proof(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_server_start();
    PERFORM pg_advisory_lock({WORKERS}, (SELECT number FROM worker WHERE id = name));
    UPDATE worker SET session = pg_backend_pid() WHERE id = name;
END $$;

-- Prove again that a worker lives, in a new session. Returns false if it was declared dead. Runs with the rights of the
-- caller, which may end its other sessions.
CREATE OR REPLACE FUNCTION prove_again(name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE earlier integer := session_of(name);
BEGIN
    IF earlier IS NULL THEN RETURN false; END IF;
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity  -- the server may not have noticed that the client is gone
        WHERE pid = earlier AND usename = session_user AND application_name = 'dbtend worker';
    PERFORM take_proof(name);
    RETURN true;
END $$;

-- Remove a worker that asks for it itself, in the session that proves it alive. One that still owns a child, which it
-- could not hand back, is left for the rescue.
CREATE OR REPLACE FUNCTION forget_worker(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM end_claims(name);
    DELETE FROM worker AS w WHERE id = name AND lives(w.number, pg_backend_pid())
        AND NOT EXISTS (SELECT FROM child_job WHERE owner = name);
END $$;

CREATE OR REPLACE FUNCTION beat(name text) RETURNS void LANGUAGE sql
AS $$ UPDATE worker SET beat_at = now_micros() WHERE id = name $$;

-- Keep the signal that ended a worker. The parameter is qualified: `number` alone is a column of `worker`.
CREATE OR REPLACE FUNCTION note_signal(name text, number integer) RETURNS void LANGUAGE sql
AS $$ UPDATE worker SET signal = note_signal.number WHERE id = name $$;

-- Pause the store: nothing starts any more. Writes that hold the gate are let finish first.
CREATE OR REPLACE FUNCTION pause(who text, at bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    at := coalesce(at, now_micros());
    PERFORM pg_advisory_xact_lock({GATE});
    INSERT INTO pause (at, by) VALUES (at, with_role(who)) ON CONFLICT DO NOTHING;
    IF FOUND THEN PERFORM add_event(at, NULL, NULL, 'paused', NULL, NULL, 0); END IF;
END $$;

CREATE OR REPLACE FUNCTION resume(at bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({GATE});
    DELETE FROM pause;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM add_event(coalesce(at, now_micros()), NULL, NULL, 'resumed', NULL, NULL, 0);
END $$;

CREATE OR REPLACE FUNCTION pin(p bigint, is_pinned boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE parent_job SET pinned = is_pinned WHERE id = p;
    IF NOT FOUND THEN PERFORM no_such_job(p, NULL); END IF;
END $$;

-- Remove parents with all that belongs to them, except those that are open or pinned, or whose batch is.
CREATE OR REPLACE FUNCTION prune(ids bigint[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE number integer;
BEGIN
    PERFORM lock_parents(ids);
    DELETE FROM parent_job AS p
    WHERE id = ANY (ids) AND finished_at IS NOT NULL AND NOT pinned AND NOT EXISTS (
        SELECT FROM parent_job AS other
        WHERE other.batch_id = p.batch_id AND other.status IN ('pending', 'running'));
    GET DIAGNOSTICS number = ROW_COUNT;
    RETURN number;
END $$;

-- Forget the oldest changes; between those that stay there is no gap, and the newest always stays.
CREATE OR REPLACE FUNCTION prune_changes(before_time bigint, most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    number integer;
    last_old bigint;
BEGIN
    SELECT max(seq) FILTER (WHERE NOT is_kept) INTO last_old FROM (
        SELECT seq, bool_or(event.at >= before_time) OVER (ORDER BY seq) AS is_kept
        FROM event ORDER BY seq LIMIT most) AS oldest;
    DELETE FROM event WHERE seq <= last_old AND seq < (SELECT max(seq) FROM event);
    GET DIAGNOSTICS number = ROW_COUNT;
    RETURN number;
END $$;

CREATE OR REPLACE FUNCTION save_measurement(name text, its_state text, what text, at bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    at := coalesce(at, now_micros());
    DELETE FROM measured AS m WHERE m.at < save_measurement.at - {MEASURED_KEPT};
    INSERT INTO measured (target, state, at, found) VALUES (name, its_state, at, what)
    ON CONFLICT (target) DO UPDATE SET state = excluded.state, at = excluded.at, found = excluded.found;
END $$;

-- A number among facts; NULL if there is none.
CREATE OR REPLACE FUNCTION number_of(facts text, name text) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(facts::jsonb -> name) WHEN 'number' THEN (facts::jsonb ->> name)::double precision END
$$;
