-- What holds for all writes. Each write of the store is one function of these files, called as one statement that
-- commits by itself: a client that stops never holds a lock.
--
-- schema.py fills in names in braces, such as {LIKE_THIS}: the keys of advisory locks and constants.
--
-- Words of all these files, with times in microseconds:
--     at    the time of a write; NULL: the server's clock, `now_micros()`. Where clocks differ,
--           `greatest(at, changed_at)` keeps the times of a row in order
--     wall  the clock's time, from which the seconds left until a deadline are counted
--     due   this child is next in its parent: all children before it have ended
--     held  this child must not start yet: it waits for the canary of its batch, or for its time to start
--
-- Locks are taken in this order: the gate (shared; a pause takes it alone), batches with rules, parents by id,
-- their children, and at COMMIT the events.

CREATE OR REPLACE FUNCTION now_micros() RETURNS bigint LANGUAGE sql VOLATILE
AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

-- The author of a write: the name that the client gives, and the login of its session where that has another name. So
-- the name of a client has no ` as `.
CREATE OR REPLACE FUNCTION with_role(who text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN who = '' THEN session_user::text
        WHEN split_part(who, '@', 1) = session_user::text AND position(' ' IN who) = 0 THEN who
        ELSE replace(who, ' ', '_') || ' as ' || session_user::text END
$$;

CREATE OR REPLACE FUNCTION through_gate() RETURNS void LANGUAGE sql
AS $$ SELECT pg_advisory_xact_lock_shared({GATE}) $$;

-- Lock a parent, and before it its batch if that has rules.
CREATE OR REPLACE FUNCTION lock_parent(p bigint) RETURNS parent_job LANGUAGE plpgsql AS $$
DECLARE j parent_job;
BEGIN
    PERFORM pg_advisory_xact_lock_shared({GATE});
    PERFORM FROM batch WHERE id = (SELECT batch_id FROM parent_job WHERE id = p)
        AND (max_failures IS NOT NULL OR canary IS NOT NULL) FOR UPDATE;
    SELECT * INTO j FROM parent_job WHERE id = p FOR UPDATE;
    RETURN j;
END $$;

-- Lock these parents, and before them their batches that have rules. A loop takes one row at a time: so a session plans
-- each statement once, not at each call.
CREATE OR REPLACE FUNCTION lock_parents(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p bigint;
    batches bigint[] := '{}';
BEGIN
    PERFORM through_gate();
    FOREACH p IN ARRAY ids LOOP
        batches := batches || (SELECT batch_id FROM parent_job WHERE id = p);
    END LOOP;
    FOR p IN SELECT DISTINCT n FROM unnest(batches) AS n WHERE n IS NOT NULL ORDER BY n LOOP
        PERFORM FROM batch WHERE id = p AND (max_failures IS NOT NULL OR canary IS NOT NULL) FOR UPDATE;
    END LOOP;
    FOR p IN SELECT DISTINCT n FROM unnest(ids) AS n ORDER BY n LOOP
        PERFORM FROM parent_job WHERE id = p FOR UPDATE;
    END LOOP;
END $$;

-- What a row of a job must be. Triggers say it: a CHECK would be read and planned anew by each statement that writes. The
-- rules of legal transitions are made from the vocabulary, as `is_legal`.

CREATE OR REPLACE FUNCTION check_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.type <> 'database_maintenance_parent' OR NEW.target = '' OR NEW.target_key = '' OR NEW.engine !~ '^[a-z]'
        OR jsonb_array_length(NEW.operations::jsonb) = 0 OR NEW.options::jsonb IS NULL
    THEN
        RAISE 'parent job % is not sound', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION check_parent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'pending' THEN RAISE 'a job begins pending'; END IF;
    ELSIF NEW.status <> OLD.status AND NOT is_legal('parent_job', OLD.status, NEW.status) THEN
        RAISE 'illegal transition of parent_job from % to %', OLD.status, NEW.status;
    END IF;
    IF (NEW.finished_at IS NULL) <> (NEW.status IN ('pending', 'running')) THEN
        RAISE 'parent job % is not sound', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION check_child() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'pending' THEN RAISE 'a job begins pending'; END IF;
    ELSIF NEW.status <> OLD.status AND NOT is_legal('child_job', OLD.status, NEW.status) THEN
        RAISE 'illegal transition of child_job from % to %', OLD.status, NEW.status;
    END IF;
    IF NEW.ordinal <= 0 OR NEW.type <> 'database_maintenance_operation' OR NOT is_known('operation', NEW.operation)
        OR NOT is_known('reason', NEW.reason)
        OR NEW.cancel_reason NOT IN ('cancelled_by_user', 'time_limit', 'shutdown')
        OR NEW.due AND NEW.status <> 'pending' OR (NEW.owner IS NOT NULL) <> (NEW.status = 'running')
        OR (NEW.finished_at IS NULL) <> (NEW.status IN ('pending', 'running'))
        OR NEW.fraction NOT BETWEEN 0 AND 1 OR NEW.estimate < 0 OR NEW.size_estimate < 0
    THEN
        RAISE 'child job %.% is not sound', NEW.parent_id, NEW.ordinal USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

-- Events get their numbers at COMMIT, in the order of commits: a transaction that has this lock commits before the next
-- one gets a number. At COMMIT it holds all its other locks already, so this causes no deadlock.

CREATE OR REPLACE FUNCTION add_event(
    at bigint, parent_id bigint, ordinal integer, kind text, old text, new text, attempt integer
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({EVENTS});
    INSERT INTO event  -- a statement after the lock: it sees what was committed while this waited
    VALUES (coalesce((SELECT max(seq) FROM event), 0) + 1, at, parent_id, ordinal, kind, old, new, attempt, session_user);
    IF kind = 'cancel_requested' THEN
        PERFORM pg_notify('dbtend_change', 'cancel');
    ELSIF NOT pg_try_advisory_xact_lock({LISTENERS}) THEN  -- somebody waits for a change; see ChangeWatch
        PERFORM pg_notify('dbtend_change', '');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION parent_job_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM add_event(NEW.changed_at, NEW.id, NULL, 'status', NULL, NEW.status, 0);
    ELSIF NEW.status <> OLD.status THEN
        PERFORM add_event(NEW.changed_at, NEW.id, NULL, 'status', OLD.status, NEW.status, 0);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION child_job_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kind text := 'status';
    old_status text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        old_status := OLD.status;
        IF NEW.status = old_status THEN
            IF NEW.status = 'running' AND OLD.cancel_requested_at IS NULL AND NEW.cancel_requested_at IS NOT NULL THEN
                kind := 'cancel_requested';
            ELSIF NEW.status = 'pending' AND (
                OLD.reserved_by IS NOT NULL AND NEW.reserved_by IS NULL OR OLD.held AND NOT NEW.held)
            THEN
                kind := 'released';
            ELSE
                RETURN NULL;
            END IF;
        END IF;
    END IF;
    PERFORM add_event(NEW.changed_at, NEW.parent_id, NEW.ordinal, kind, old_status, NEW.status, NEW.attempt);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION keep_last_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = OLD.status OR NEW.finished_at IS NULL OR NEW.status = 'skipped' THEN RETURN NULL; END IF;
    INSERT INTO last_run (target, operation, status, reason, started_at, finished_at, completed_at)
    SELECT target, NEW.operation, NEW.status, NEW.reason, NEW.started_at, NEW.finished_at,
        CASE WHEN NEW.status = 'completed' AND NEW.reason IS NULL THEN NEW.finished_at END
    FROM parent_job WHERE id = NEW.parent_id
    ON CONFLICT (target, operation) DO UPDATE SET
        status = excluded.status, reason = excluded.reason, started_at = excluded.started_at,
        finished_at = excluded.finished_at, completed_at = coalesce(excluded.completed_at, last_run.completed_at);
    RETURN NULL;
END $$;

-- With the last job of a target its last runs are removed, and with the last job of a batch the batch.
CREATE OR REPLACE FUNCTION forget_with_parent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM last_run WHERE target = OLD.target
        AND NOT EXISTS (SELECT FROM parent_job WHERE target = OLD.target);
    IF OLD.batch_id IS NOT NULL THEN
        DELETE FROM batch WHERE id = OLD.batch_id
            AND NOT EXISTS (SELECT FROM parent_job WHERE batch_id = OLD.batch_id);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER parent_job_request
    BEFORE INSERT OR UPDATE OF type, target, target_key, engine, operations, options ON parent_job
    FOR EACH ROW EXECUTE FUNCTION check_request();
CREATE OR REPLACE TRIGGER parent_job_status BEFORE INSERT OR UPDATE OF status, finished_at ON parent_job
    FOR EACH ROW EXECUTE FUNCTION check_parent();
CREATE OR REPLACE TRIGGER child_job_row BEFORE INSERT OR UPDATE OF
    ordinal, type, operation, status, due, reason, owner, finished_at, cancel_reason, fraction, estimate, size_estimate
    ON child_job
    FOR EACH ROW EXECUTE FUNCTION check_child();
CREATE OR REPLACE TRIGGER child_job_ran AFTER UPDATE OF status ON child_job
    FOR EACH ROW EXECUTE FUNCTION keep_last_run();
CREATE OR REPLACE TRIGGER parent_job_removed AFTER DELETE ON parent_job
    FOR EACH ROW EXECUTE FUNCTION forget_with_parent();

-- Without WHEN, which would be read anew by each statement, as a CHECK would. CREATE OR REPLACE does not work for
-- constraint triggers.
DROP TRIGGER IF EXISTS parent_job_created ON parent_job;
DROP TRIGGER IF EXISTS parent_job_moved ON parent_job;
DROP TRIGGER IF EXISTS child_job_created ON child_job;
DROP TRIGGER IF EXISTS child_job_moved ON child_job;
CREATE CONSTRAINT TRIGGER parent_job_created AFTER INSERT ON parent_job DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION parent_job_event();
CREATE CONSTRAINT TRIGGER parent_job_moved AFTER UPDATE OF status ON parent_job DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION parent_job_event();
CREATE CONSTRAINT TRIGGER child_job_created AFTER INSERT ON child_job DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION child_job_event();
CREATE CONSTRAINT TRIGGER child_job_moved
    AFTER UPDATE OF status, cancel_requested_at, reserved_by, held ON child_job DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION child_job_event();

-- How children end without having run.

-- Whether a check with these facts looked at everything, and found nothing but rows that break a rule.
CREATE OR REPLACE FUNCTION found_no_damage(found jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(found -> 'complete' = 'true' AND coalesce(found -> 'damage', 'null') = 'null'
        AND coalesce(found -> 'damaged_indexes', 'null') IN ('null', '[]'), false)
$$;

-- Whether a child failed, and not as a check that found nothing but rows that break a rule.
CREATE OR REPLACE FUNCTION has_failed(c child_job) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT c.status = 'failed' AND NOT (c.operation = 'check' AND (c.after::jsonb ->> 'broken_rule') IS NOT NULL
        AND found_no_damage(c.after::jsonb))
$$;

CREATE OR REPLACE FUNCTION stops_on_failure(p parent_job, c child_job, found jsonb) RETURNS boolean LANGUAGE sql STABLE
AS $$
    SELECT coalesce(o ->> 'on_failure' = 'stop', false)
        OR (coalesce((o -> 'verify')::boolean, false) AND c.ordinal = 1
            OR coalesce((o -> 'check_first')::boolean, false) AND c.operation = 'check')
        AND NOT found_no_damage(found)
    FROM (SELECT p.options::jsonb AS o) AS options
$$;

CREATE OR REPLACE FUNCTION others_wait_for(p parent_job, c child_job) RETURNS boolean LANGUAGE sql IMMUTABLE
AS $$ SELECT coalesce((p.options::jsonb -> 'check_first')::boolean, false) AND c.operation = 'check' $$;

-- End the pending children of a parent, or the one at `at_ordinal`; not those that recover their database.
CREATE OR REPLACE FUNCTION end_pending(p bigint, how text, why text, at bigint, at_ordinal integer DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE child_job AS c SET status = how, reason = why, due = false,
        error = (SELECT CASE WHEN why = 'not_needed' THEN phrase('done_since')
                WHEN a.reason = 'owner_lost' THEN phrase('not_recovered') WHEN a.reason = 'shutdown' THEN phrase('handed_back') END
            FROM attempt AS a WHERE (a.parent_id, a.ordinal, a.attempt) = (c.parent_id, c.ordinal, c.attempt)),
        finished_at = greatest(at, changed_at), changed_at = greatest(at, changed_at)
    WHERE parent_id = p AND (at_ordinal IS NULL OR ordinal = at_ordinal) AND status = 'pending' AND NOT recovering;
END $$;

-- The status of a parent, from the statuses of its children and whether one of them has ever started. It is the same
-- rule as `statuses.py:parent_status`.
CREATE OR REPLACE FUNCTION parent_status(children text[], started boolean) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN children && ARRAY['pending', 'running'] THEN CASE WHEN started THEN 'running' ELSE 'pending' END
        WHEN 'failed' = ANY (children) THEN 'failed'
        WHEN 'cancelled' = ANY (children) THEN 'cancelled'
        ELSE 'completed' END
$$;

-- After a change of children: make the first open one due, and derive the parent's status. Returns whether that ended the
-- parent.
CREATE OR REPLACE FUNCTION derive_parent(p bigint, at bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    derived text;
    first_open integer;
BEGIN
    SELECT parent_status(array_agg(status), bool_or(attempt > 0)),
        min(ordinal) FILTER (WHERE status IN ('pending', 'running'))
    INTO derived, first_open FROM child_job WHERE parent_id = p;
    IF first_open IS NOT NULL THEN
        UPDATE child_job SET due = true
        WHERE parent_id = p AND ordinal = first_open AND status = 'pending' AND NOT due;
    END IF;
    UPDATE parent_job SET status = derived, changed_at = greatest(at, changed_at),
        finished_at = CASE WHEN derived NOT IN ('pending', 'running') THEN greatest(at, changed_at) END,
        started_at = CASE WHEN derived = 'running' THEN coalesce(started_at, greatest(at, changed_at)) ELSE started_at END
    WHERE id = p AND status <> derived;
    RETURN FOUND AND derived NOT IN ('pending', 'running');
END $$;

-- The rules of a batch: they let its held jobs start, or skip jobs that have not begun.

CREATE OR REPLACE FUNCTION skip_not_begun(batch bigint, why text, at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE p bigint;
BEGIN
    FOR p IN SELECT id FROM parent_job WHERE batch_id = batch AND status = 'pending' ORDER BY id FOR UPDATE LOOP
        PERFORM end_pending(p, 'skipped', why, at);
        PERFORM derive_parent(p, at);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION apply_rules(batch_number bigint, at bigint, canary_ended boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    most integer;
    p bigint;
BEGIN
    SELECT max_failures INTO most FROM batch WHERE id = batch_number;
    IF canary_ended AND NOT EXISTS (
        SELECT FROM parent_job WHERE batch_id = batch_number AND canary AND status IN ('pending', 'running')
    ) THEN
        IF EXISTS (
            SELECT FROM parent_job AS j JOIN child_job AS c ON c.parent_id = j.id
            WHERE batch_id = batch_number AND canary AND (has_failed(c) OR c.status = 'cancelled'
                OR (c.status = 'skipped' AND c.reason IS DISTINCT FROM 'not_needed'))
        ) THEN
            PERFORM skip_not_begun(batch_number, 'canary_failed', at);
        ELSE
            FOR p IN SELECT id FROM parent_job WHERE batch_id = batch_number AND status = 'pending' ORDER BY id FOR UPDATE
            LOOP
                UPDATE child_job SET held = false, starts_at = NULL, changed_at = greatest(at, changed_at)
                WHERE parent_id = p AND held AND (starts_at IS NULL OR starts_at <= at);
            END LOOP;
        END IF;
    END IF;
    IF most IS NOT NULL AND (
        SELECT count(*) FROM parent_job AS j WHERE batch_id = batch_number AND status = 'failed'
            AND EXISTS (SELECT FROM child_job AS c WHERE c.parent_id = j.id AND has_failed(c))
    ) >= most THEN
        PERFORM skip_not_begun(batch_number, 'too_many_failures', at);
    END IF;
END $$;

-- Derive the status of a parent; if that ends it, apply the rules of its batch.
CREATE OR REPLACE FUNCTION update_parent(p bigint, at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE j record;
BEGIN
    IF NOT derive_parent(p, at) THEN RETURN; END IF;
    SELECT batch_id, canary INTO j FROM parent_job WHERE id = p;
    IF j.batch_id IS NOT NULL THEN PERFORM apply_rules(j.batch_id, at, j.canary); END IF;
END $$;

-- Save the current attempt of a child: the next attempt overwrites it in the child's row.
CREATE OR REPLACE FUNCTION keep_attempt(c child_job, how text, why text, at bigint, signal_number integer DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO attempt (parent_id, ordinal, attempt, pid, host, started_at, finished_at, status, reason, signal, login)
    VALUES (c.parent_id, c.ordinal, c.attempt, c.pid, c.host, c.started_at, greatest(at, c.started_at), how, why,
        signal_number, session_user)
$$;

CREATE OR REPLACE FUNCTION back_to_pending(c child_job, recovers boolean, more_attempts integer, at bigint) RETURNS void
LANGUAGE sql AS $$
    UPDATE child_job SET status = 'pending', owner = NULL, pid = NULL, host = NULL, started_at = NULL, fraction = NULL,
        object = NULL, steps_done = 0, steps_total = 0, phase = NULL, waits_for = NULL, waited = 0,
        recovering = recovers, max_attempts = max_attempts + more_attempts, changed_at = greatest(at, changed_at),
        target_key = (SELECT target_key FROM parent_job WHERE id = c.parent_id)
    WHERE (parent_id, ordinal) = (c.parent_id, c.ordinal)
$$;
