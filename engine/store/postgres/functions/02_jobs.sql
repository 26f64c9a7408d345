-- The life of a job, from its submit to its end. What `at`, `wall`, `due` and `held` mean: see 01_rules.sql.

-- Open jobs of the same path wait for the file that is there now, whatever replaced the one that was there. A running
-- child keeps its key until it waits again.
CREATE OR REPLACE FUNCTION follow_paths(jobs jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved bigint[] := ARRAY(
        SELECT p.id FROM jsonb_array_elements(jobs) AS job JOIN parent_job AS p ON p.target = job ->> 'target'
        WHERE job ->> 'engine' IN ('sqlite', 'duckdb') AND job ->> 'failure' IS NULL AND p.finished_at IS NULL
            AND p.target_key <> job ->> 'target_key');
BEGIN
    IF moved = '{}' THEN RETURN; END IF;
    PERFORM lock_parents(moved);
    UPDATE parent_job AS p SET target_key = job ->> 'target_key' FROM jsonb_array_elements(jobs) AS job
    WHERE p.id = ANY (moved) AND p.target = job ->> 'target' AND p.finished_at IS NULL;
    UPDATE child_job AS c SET target_key = p.target_key FROM parent_job AS p
    WHERE p.id = ANY (moved) AND c.parent_id = p.id AND c.status = 'pending';
END $$;

-- Store a batch whose jobs are submitted in portions, and keep their ids free. Returns its id, which the portions name.
CREATE OR REPLACE FUNCTION begin_batch(new_batch jsonb, jobs integer, at bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    ids text := pg_get_serial_sequence('parent_job', 'id');
    first bigint;
    begun bigint;
BEGIN
    PERFORM through_gate();
    PERFORM pg_advisory_xact_lock({SUBMITS});
    first := nextval(ids);
    PERFORM setval(ids, first + jobs - 1);
    INSERT INTO batch (created_at, retry_of, max_failures, canary, max_per_host, unsubmitted, next_job)
    VALUES (greatest(coalesce(at, now_micros()), (SELECT created_at FROM parent_job ORDER BY id DESC LIMIT 1)),
        (new_batch ->> 'retry_of')::bigint, (new_batch ->> 'max_failures')::integer,
        (new_batch ->> 'canary')::integer, (new_batch ->> 'max_per_host')::integer, jobs, first)
    RETURNING id INTO begun;
    RETURN begun;
END $$;

-- Store parents with all their children, or nothing. Returns the ids of the parents, in order. Submits run one after the
-- other: so ids are in time order, those of a batch follow each other, and no two jobs are duplicates.
CREATE OR REPLACE FUNCTION submit(
    jobs jsonb, on_duplicate text, new_batch jsonb, submission_name text, run text, who text, at bigint
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    job jsonb;
    joined bigint;
    all_joined bigint[] := '{}';
    ids bigint[] := '{}';
    batch_number bigint;
    parent bigint;
    canaries integer := (new_batch ->> 'canary')::integer;
    new_jobs integer := 0;
    is_canary boolean;
    asked_at bigint := coalesce(at, now_micros());
    start bigint;
    number integer := 0;
    created bigint;
    next_id bigint;
    cancelled text;
BEGIN
    PERFORM through_gate();
    PERFORM pg_advisory_xact_lock({SUBMITS});
    at := greatest(asked_at, (SELECT created_at FROM parent_job ORDER BY id DESC LIMIT 1));
    created := at;
    PERFORM follow_paths(jobs);
    FOR job IN SELECT * FROM jsonb_array_elements(jobs) LOOP
        SELECT max(id) INTO joined FROM parent_job
        WHERE retry_of = (job ->> 'retry_of')::bigint AND id > (job ->> 'known_retry')::bigint;
        IF joined IS NULL AND job ->> 'failure' IS NULL AND on_duplicate <> 'add' THEN
            SELECT id INTO joined FROM parent_job
            WHERE target_key = job ->> 'target_key' AND finished_at IS NULL AND cancel_requested_at IS NULL
                AND operations = job ->> 'operations' AND options = job ->> 'options' AND schedule IS NULL
            LIMIT 1;
        END IF;
        IF joined IS NOT NULL AND on_duplicate = 'refuse' THEN
            RAISE EXCEPTION 'duplicate' USING ERRCODE = 'DT001', DETAIL = joined, HINT = job ->> 'target';
        END IF;
        all_joined := all_joined || joined;
    END LOOP;
    IF new_batch ->> 'id' IS NOT NULL THEN
        SELECT id, created_at, next_job, cancelled_by, (SELECT count(*) FROM parent_job WHERE batch_id = b.id)
        INTO batch_number, created, next_id, cancelled, new_jobs
        FROM batch AS b WHERE id = (new_batch ->> 'id')::bigint AND unsubmitted > 0 FOR UPDATE;
        IF NOT FOUND THEN created := at; new_jobs := 0; END IF;
    ELSIF new_batch IS NOT NULL AND array_position(all_joined, NULL) IS NOT NULL THEN
        INSERT INTO batch (created_at, retry_of, max_failures, canary, max_per_host)
        VALUES (at, (new_batch ->> 'retry_of')::bigint, (new_batch ->> 'max_failures')::integer, canaries,
            (new_batch ->> 'max_per_host')::integer)
        RETURNING id INTO batch_number;
    END IF;
    IF batch_number IS NULL THEN canaries := NULL; END IF;
    FOR job IN SELECT * FROM jsonb_array_elements(jobs) LOOP
        number := number + 1;
        IF all_joined[number] IS NOT NULL THEN
            ids := ids || all_joined[number];
            CONTINUE;
        END IF;
        is_canary := canaries IS NOT NULL AND new_jobs < canaries;
        start := (job ->> 'starts_at')::bigint;
        IF start <= asked_at THEN start := NULL; END IF;
        INSERT INTO parent_job (
            id, target, target_key, queue, engine, operations, options, retry_of, deadline_at, submission, batch_id,
            canary, is_pattern, schedule, submitted_by, login, cancelled_by,
            created_at, changed_at)
        OVERRIDING SYSTEM VALUE VALUES (
            coalesce(next_id, nextval(pg_get_serial_sequence('parent_job', 'id'))),
            job ->> 'target', job ->> 'target_key', job ->> 'queue', job ->> 'engine', job ->> 'operations', job ->> 'options',
            (job ->> 'retry_of')::bigint, (job ->> 'deadline_at')::bigint, submission_name,
            batch_number, is_canary, (job ->> 'is_pattern')::boolean, new_batch ->> 'schedule', with_role(who), session_user,
            cancelled, created, at)
        RETURNING id INTO parent;
        INSERT INTO child_job (
            parent_id, ordinal, target_key, host_key, queue, operation, max_attempts, reserved_by, held, starts_at,
            estimate, changed_at)
        SELECT parent, n, job ->> 'target_key', job ->> 'host_key', job ->> 'queue', child ->> 0, (child ->> 1)::integer,
            CASE WHEN (job ->> 'is_served_here')::boolean THEN run END,
            canaries IS NOT NULL AND NOT is_canary OR start IS NOT NULL, start, (child ->> 2)::double precision, at
        FROM jsonb_array_elements(job -> 'children') WITH ORDINALITY AS x (child, n);
        IF job ->> 'failure' IS NOT NULL THEN
            UPDATE child_job SET status = 'failed', reason = job -> 'failure' ->> 0, error = job -> 'failure' ->> 1,
                finished_at = at
            WHERE parent_id = parent;
        END IF;
        PERFORM derive_parent(parent, at);
        new_jobs := new_jobs + 1;
        next_id := next_id + 1;
        ids := ids || parent;
    END LOOP;
    IF new_batch ->> 'id' IS NOT NULL THEN
        UPDATE batch SET unsubmitted = (new_batch ->> 'unsubmitted')::integer, next_job = next_id WHERE id = batch_number;
        DELETE FROM batch WHERE id = batch_number AND unsubmitted = 0 AND new_jobs = 0;
        IF new_jobs = 0 THEN batch_number := NULL; END IF;
    END IF;
    IF batch_number IS NULL THEN RETURN ids; END IF;
    IF cancelled IS NULL THEN
        PERFORM apply_rules(batch_number, at, canaries IS NOT NULL);
    ELSE
        PERFORM cancel_batch(batch_number, who, at);
    END IF;
    RETURN ids;
END $$;

-- The jobs of a submit whose answer was lost. Waits while the server still works on the submit.
CREATE OR REPLACE FUNCTION submitted(submission_name text) RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({SUBMITS});
    RETURN ARRAY(SELECT id FROM parent_job WHERE submission = submission_name ORDER BY id);
END $$;

-- The steps of a child as JSON, of all attempts.
CREATE OR REPLACE FUNCTION steps_of(p bigint, o integer) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(json_build_object(
        'number', number, 'attempt', attempt, 'object', object, 'command', command, 'status', status,
        'started_at', started_at, 'finished_at', finished_at, 'error', error, 'effect', effect::json,
        'operation', operation, 'error_is_finding', error_is_finding, 'reason', reason) ORDER BY attempt, number), '[]')
    FROM step WHERE (parent_id, ordinal) = (p, o)
$$;

-- Start a child for a worker, on its parent, which the caller has locked. Returns what the worker needs to run it; NULL if
-- the child can no longer be claimed: it has started, or another one has on its target, which the caller has locked, too.
CREATE OR REPLACE FUNCTION start_child(w worker, j parent_job, o integer, key text, at bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    c child_job;
    deaths integer := 0;
    last_signal integer;
BEGIN
    UPDATE child_job SET status = 'running', due = false, owner = w.id, attempt = attempt + 1,
        changed_at = greatest(at, changed_at), started_at = greatest(at, changed_at), pid = w.pid, host = w.host
    WHERE parent_id = j.id AND ordinal = o AND target_key = key AND status = 'pending' AND due AND NOT held
        AND NOT EXISTS (SELECT FROM child_job AS r WHERE r.target_key = key AND r.status = 'running')
    RETURNING * INTO c;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF j.status <> 'running' THEN
        UPDATE parent_job SET status = 'running', changed_at = greatest(at, changed_at),
            started_at = coalesce(started_at, greatest(at, changed_at))
        WHERE id = j.id;
    END IF;
    IF c.attempt > 1 THEN
        SELECT count(*), (array_agg(signal ORDER BY attempt DESC))[1] INTO deaths, last_signal
        FROM attempt WHERE (parent_id, ordinal) = (j.id, o) AND reason = 'owner_lost';
    END IF;
    RETURN jsonb_build_object(
        'parent', j.id, 'ordinal', o, 'type', c.type, 'attempt', c.attempt, 'target', j.target, 'operation', c.operation,
        'options', j.options, 'started_at', c.started_at, 'deaths', deaths, 'signal', last_signal,
        'recovering', CASE WHEN c.recovering THEN CASE WHEN c.cancel_requested_at IS NULL THEN 'owner_lost'
            ELSE coalesce(c.cancel_reason, 'cancelled_by_user') END END,
        'forced', c.force_requested_at IS NOT NULL, 'is_own', j.login = session_user, 'left', j.deadline_at - at,
        'earlier', CASE WHEN c.attempt > 1 THEN steps_of(j.id, o) ELSE '[]' END, 'queue', c.queue,
        'damage', (SELECT coalesce(
            jsonb_agg(jsonb_build_array(d.object, d.source, d.found_at, d.facts) ORDER BY d.found_at, d.object), '[]')
            FROM damage AS d WHERE d.target = j.target));
END $$;

-- Children that can start: each is the next one of its parent, and nothing runs on its target.
CREATE OR REPLACE VIEW claimable AS
SELECT parent_id, ordinal, target_key, host_key, queue, reserved_by, recovering FROM child_job AS c
WHERE due AND NOT held AND NOT EXISTS (
    SELECT FROM child_job AS r WHERE r.target_key = c.target_key AND r.status = 'running');

-- How many children run on each server. Only jobs of batches with a limit per server count: if all jobs did, a steady
-- flow of others could keep a limited batch waiting for ever.
CREATE OR REPLACE VIEW limited_load AS
SELECT r.host_key, count(*) AS running
FROM child_job AS r JOIN parent_job AS p ON p.id = r.parent_id JOIN batch AS b ON b.id = p.batch_id
WHERE r.status = 'running' AND r.host_key IS NOT NULL AND b.max_per_host IS NOT NULL
GROUP BY r.host_key;

-- Whether a worker may claim a child. queues, parents: the worker takes only these; NULL: all. run: the run that the
-- worker belongs to, whose reserved children it may take.
CREATE OR REPLACE FUNCTION may_claim(
    c claimable, queues text[], parents bigint[], run text, is_paused boolean
) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (c.recovering OR NOT is_paused) AND (queues IS NULL OR c.queue = ANY (queues))
        AND (parents IS NULL OR c.parent_id = ANY (parents)) AND (c.reserved_by IS NULL OR c.reserved_by = run)
$$;

-- Begin a claim of a worker, before it locks any parent: a rescue of the worker waits, or has happened. That it has is
-- seen by a later statement.
CREATE OR REPLACE FUNCTION begin_claim(worker_id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({CLAIMS}, hashtext(worker_id));
END $$;

-- Wait for the claims of a worker, and let it begin no other.
CREATE OR REPLACE FUNCTION end_claims(worker_id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({CLAIMS}, hashtext(worker_id));
END $$;

-- Claim the oldest child that this worker may claim; NULL if there is none. While the store is paused only children that
-- await recovery are claimed. The caller has begun the claim, and ended jobs that are past their time limit.
--
-- The settings of this function make the planner read the candidates oldest first, by an index, however long the queue is.
CREATE OR REPLACE FUNCTION claim_next(
    worker_id text, queues text[], parents bigint[], run text, at bigint
) RETURNS jsonb LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    is_paused boolean;
    w worker;
    child record;
    j parent_job;
    most_per_host integer;
    got jsonb;
    passed text[] := '{}';  -- targets already tried: no child starts before an older one of its target
    full_hosts text[] := '{}';
BEGIN
    at := coalesce(at, now_micros());
    SELECT * INTO w FROM worker WHERE id = worker_id;
    IF NOT FOUND THEN RAISE EXCEPTION 'worker % is not registered', worker_id USING ERRCODE = 'DT002'; END IF;
    IF w.serves_all AND EXISTS (SELECT FROM drained_host AS d WHERE d.host = w.host) THEN RETURN NULL; END IF;
    is_paused := EXISTS (SELECT FROM pause);
    FOR child IN
        SELECT * FROM claimable AS c WHERE may_claim(c, queues, parents, run, is_paused) ORDER BY parent_id
    LOOP
        CONTINUE WHEN child.target_key = ANY (passed);
        passed := passed || child.target_key;
        SELECT * INTO j FROM parent_job WHERE id = child.parent_id FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND OR NOT child.recovering AND j.deadline_at <= at;
        IF child.host_key IS NOT NULL AND j.batch_id IS NOT NULL THEN
            CONTINUE WHEN child.host_key = ANY (full_hosts);
            SELECT max_per_host INTO most_per_host FROM batch WHERE id = j.batch_id;
            IF most_per_host IS NOT NULL THEN
                PERFORM pg_advisory_xact_lock({HOSTS}, hashtext(child.host_key));
                IF most_per_host <= (SELECT running FROM limited_load AS l WHERE l.host_key = child.host_key) THEN
                    full_hosts := full_hosts || child.host_key;
                    CONTINUE;
                END IF;
            END IF;
        END IF;
        -- Who has this lock has just started a child of this target.
        CONTINUE WHEN NOT pg_try_advisory_xact_lock({TARGETS}, hashtext(child.target_key));
        got := start_child(w, j, child.ordinal, child.target_key, at);
        IF got IS NOT NULL THEN RETURN got; END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION claim(worker_id text, queues text[], parents bigint[], run text, at bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM begin_claim(worker_id);
    PERFORM enforce_time_limits(at);
    PERFORM through_gate();
    RETURN claim_next(worker_id, queues, parents, run, at);
END $$;

CREATE OR REPLACE FUNCTION write_steps_and_log(token jsonb, report jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p bigint := (token ->> 'parent')::bigint;
    o integer := (token ->> 'ordinal')::integer;
BEGIN
    IF report -> 'steps' = '[]' AND report -> 'log' = '[]' THEN RETURN; END IF;
    INSERT INTO step (
        parent_id, ordinal, attempt, number, object, command, status, started_at, finished_at, error, effect, operation,
        error_is_finding, reason)
    SELECT p, o, s.* FROM jsonb_to_recordset(report -> 'steps') AS s (
        attempt integer, number integer, object text, command text, status text, started_at bigint, finished_at bigint,
        error text, effect text, operation text, error_is_finding boolean, reason text)
    ON CONFLICT (parent_id, ordinal, attempt, number) DO UPDATE SET
        object = excluded.object, command = excluded.command, status = excluded.status,
        started_at = excluded.started_at, finished_at = excluded.finished_at, error = excluded.error,
        effect = excluded.effect, operation = excluded.operation, error_is_finding = excluded.error_is_finding,
        reason = excluded.reason;
    INSERT INTO log (parent_id, ordinal, attempt, number, at, level, message, is_settings)
    SELECT p, o, l.* FROM jsonb_to_recordset(report -> 'log') AS l (
        attempt integer, number integer, at bigint, level text, message text, is_settings boolean)
    ON CONFLICT (parent_id, ordinal, attempt, number) DO UPDATE SET
        at = excluded.at, level = excluded.level, message = excluded.message, is_settings = excluded.is_settings;
    IF report ->> 'log_dropped_until' IS NOT NULL THEN
        DELETE FROM log WHERE (parent_id, ordinal, attempt) = (p, o, (token ->> 'attempt')::integer)
            AND number > (report ->> 'log_kept_first')::integer AND number <= (report ->> 'log_dropped_until')::integer;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ownership_lost(token jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the child is no longer run by this process' USING ERRCODE = 'DT003';
END $$;

-- Write progress, steps and log lines of a running child, if the caller still owns it.
CREATE OR REPLACE FUNCTION report(token jsonb, news jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE n jsonb := news -> 'progress';
BEGIN
    UPDATE child_job SET fraction = (n ->> 'fraction')::double precision, object = n ->> 'object',
        steps_done = (n ->> 'steps_done')::integer, steps_total = (n ->> 'steps_total')::integer, phase = n ->> 'phase',
        waits_for = n ->> 'waits_for', waited = (n ->> 'waited')::bigint
    WHERE (parent_id, ordinal) = ((token ->> 'parent')::bigint, (token ->> 'ordinal')::integer)
        AND owner = token ->> 'owner' AND attempt = (token ->> 'attempt')::integer AND status = 'running';
    IF NOT FOUND THEN PERFORM ownership_lost(token); END IF;
    PERFORM write_steps_and_log(token, news);
END $$;

-- Whether this outcome of this attempt is already written.
CREATE OR REPLACE FUNCTION has_ended_so(token jsonb, outcome jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM child_job
        WHERE (parent_id, ordinal, attempt)
                = ((token ->> 'parent')::bigint, (token ->> 'ordinal')::integer,
                    coalesce(outcome ->> 'attempt', token ->> 'attempt')::integer)
            AND status = outcome ->> 'status'
            AND finished_at = greatest((outcome ->> 'ended_at')::bigint, started_at) AND outcome -> 'ended_at' <> 'null')
$$;

-- After a job has replaced the file of its target: let the jobs that wait for the old file wait for the new one. Each
-- key begins with the host of the file.
CREATE OR REPLACE FUNCTION follow_file(key text, after jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old text := after ->> 'replaced_file';
    new_key text := left(key, -length(old)) || (after ->> 'file');
BEGIN
    IF new_key IS NULL OR right(key, length(old)) <> old THEN RETURN; END IF;
    UPDATE child_job SET target_key = new_key WHERE (parent_id, ordinal) IN (
        SELECT parent_id, ordinal FROM child_job WHERE target_key = key AND status = 'pending' FOR UPDATE SKIP LOCKED);
    UPDATE parent_job SET target_key = new_key WHERE id IN (
        SELECT id FROM parent_job WHERE target_key = key AND finished_at IS NULL FOR UPDATE SKIP LOCKED);
END $$;

-- Let a running child be the earlier attempt that ended on its host and could not tell the store. Returns its token.
CREATE OR REPLACE FUNCTION resume_attempt(token jsonb, earlier integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE child_job AS c
    SET attempt = a.attempt, started_at = a.started_at, pid = a.pid, host = a.host, recovering = false
    FROM attempt AS a
    WHERE (c.parent_id, c.ordinal) = ((token ->> 'parent')::bigint, (token ->> 'ordinal')::integer)
        AND c.owner = token ->> 'owner' AND c.attempt = (token ->> 'attempt')::integer AND c.status = 'running'
        AND (a.parent_id, a.ordinal, a.attempt) = (c.parent_id, c.ordinal, earlier);
    IF NOT FOUND THEN RETURN token; END IF;
    DELETE FROM attempt
    WHERE (parent_id, ordinal, attempt) = ((token ->> 'parent')::bigint, (token ->> 'ordinal')::integer, earlier);
    RETURN token || jsonb_build_object('attempt', earlier);
END $$;

-- End a child, skip later ones after a failure, and close the parent. Fails unless owner and attempt are still those of
-- the token.
CREATE OR REPLACE FUNCTION finish(token jsonb, outcome jsonb, news jsonb, at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p bigint := (token ->> 'parent')::bigint;
    n jsonb := news -> 'progress';
    how text := outcome ->> 'status';
    facts jsonb := outcome ->> 'after';
    c child_job;
    j parent_job;
BEGIN
    at := coalesce((outcome ->> 'ended_at')::bigint, at, now_micros());
    j := lock_parent(p);
    IF outcome ->> 'attempt' IS NOT NULL THEN
        token := resume_attempt(token, (outcome ->> 'attempt')::integer);
    END IF;
    UPDATE child_job SET status = how, due = false,
        reason = CASE how WHEN 'cancelled' THEN coalesce(cancel_reason, outcome ->> 'reason') ELSE outcome ->> 'reason' END,
        error = outcome ->> 'error', warnings = outcome ->> 'warnings', before = outcome ->> 'before',
        after = outcome ->> 'after', steps_left = (outcome ->> 'left')::integer,
        estimate = (outcome ->> 'estimate')::double precision,
        size_estimate = (outcome ->> 'size_estimate')::double precision, fraction = (n ->> 'fraction')::double precision,
        object = n ->> 'object', steps_done = (n ->> 'steps_done')::integer, steps_total = (n ->> 'steps_total')::integer,
        owner = NULL, phase = NULL, waits_for = NULL, finished_at = greatest(at, started_at),
        changed_at = greatest(at, changed_at)
    WHERE (parent_id, ordinal) = (p, (token ->> 'ordinal')::integer) AND owner = token ->> 'owner'
        AND attempt = (token ->> 'attempt')::integer AND status = 'running'
    RETURNING * INTO c;
    IF NOT FOUND THEN
        IF NOT has_ended_so(token, outcome) THEN PERFORM ownership_lost(token); END IF;
        RETURN;  -- the caller repeats the call, because the answer to its first one was lost
    END IF;
    PERFORM write_steps_and_log(token, news);
    IF outcome ? 'damage' THEN PERFORM save_damage(j.target, outcome -> 'damage'); END IF;
    IF facts ? 'replaced_file' THEN PERFORM follow_file(c.target_key, facts); END IF;
    IF how = 'failed' AND stops_on_failure(j, c, facts)
        OR how = 'cancelled' AND others_wait_for(j, c) THEN
        PERFORM end_pending(p, 'skipped', 'previous_failed', at);
    ELSIF outcome ->> 'reason' = 'time_limit' THEN
        PERFORM end_pending(p, 'skipped', 'time_limit', at);
    END IF;
    PERFORM update_parent(p, at);
END $$;

-- End a child, and claim the next one for the same worker.
CREATE OR REPLACE FUNCTION finish_and_claim(
    token jsonb, outcome jsonb, news jsonb, queues text[], parents bigint[], run text, at bigint
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    late bigint[] := late_parents(coalesce(at, now_micros()));
BEGIN
    PERFORM begin_claim(token ->> 'owner');
    IF late <> '{}' THEN PERFORM lock_parents(late || (token ->> 'parent')::bigint); END IF;  -- all at once, in order
    PERFORM finish(token, outcome, news, at);
    IF late <> '{}' THEN PERFORM end_late(late, coalesce(at, now_micros())); END IF;
    RETURN claim_next(token ->> 'owner', queues, parents, run, at);
END $$;

-- Hand a running child back as pending, without using up an attempt. If its cancel was requested, it is cancelled.
CREATE OR REPLACE FUNCTION release(token jsonb, news jsonb, at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p bigint := (token ->> 'parent')::bigint;
    c child_job;
BEGIN
    at := coalesce(at, now_micros());
    PERFORM lock_parent(p);
    SELECT * INTO c FROM child_job
    WHERE (parent_id, ordinal) = (p, (token ->> 'ordinal')::integer) AND owner = token ->> 'owner'
        AND attempt = (token ->> 'attempt')::integer AND status = 'running';
    IF NOT FOUND THEN PERFORM ownership_lost(token); END IF;
    IF c.cancel_requested_at IS NOT NULL AND NOT c.recovering THEN
        PERFORM finish(
            token, jsonb_build_object('status', 'cancelled', 'reason', 'cancelled_by_user', 'warnings', '[]', 'left', 0),
            news, at);
        RETURN;
    END IF;
    PERFORM report(token, news);
    PERFORM keep_attempt(c, 'cancelled', 'shutdown', at);
    PERFORM back_to_pending(c, c.recovering, 1, at);
    PERFORM update_parent(p, at);
END $$;
