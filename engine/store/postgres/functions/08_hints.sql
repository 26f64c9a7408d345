-- Hints: a ticket of procrastinate says "there may be work in this queue", and nothing more. These tables alone say what
-- is to be done: a ticket that is lost, doubled or late does no harm.
--
-- A hint is given at COMMIT for each target that becomes claimable. There the lock on events lets one transaction commit
-- after the other: so the one that frees a target and the one that adds a job for it never miss each other.

-- Whether the tables of procrastinate exist. If someone has dropped them, no hints are given, and no write fails.
CREATE OR REPLACE FUNCTION has_queue() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT to_regproc('dbtend_queue.procrastinate_defer_jobs_v1') IS NOT NULL
        AND to_regclass('dbtend_queue.procrastinate_jobs') IS NOT NULL
        AND to_regclass('dbtend_queue.procrastinate_events') IS NOT NULL
$$;

CREATE OR REPLACE FUNCTION give_hints(queues text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(queues) = 0 OR NOT has_queue() THEN RETURN; END IF;
    PERFORM dbtend_queue.procrastinate_defer_jobs_v1((
        SELECT array_agg(
            ROW(q, 'work', 0, NULL, NULL, jsonb_build_object('queue', q), NULL)::dbtend_queue.procrastinate_job_to_defer_v1)
        FROM unnest(queues) AS q));
END $$;

-- The queue of the first child of each target that any worker may claim.
CREATE OR REPLACE VIEW offered AS
SELECT DISTINCT ON (target_key) target_key, parent_id, ordinal, queue FROM claimable
WHERE reserved_by IS NULL AND (recovering OR NOT EXISTS (SELECT FROM pause))
ORDER BY target_key, parent_id;

-- Give a hint if a new, ended or released child made its target claimable; unless `finish_and_claim` has left one.
CREATE OR REPLACE FUNCTION give_hint_of(key text, p bigint, o integer, is_new boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE next record;
BEGIN
    SELECT * INTO next FROM offered WHERE target_key = key;
    IF FOUND AND (NOT is_new OR next.parent_id = p AND next.ordinal = o)
        AND current_setting('dbtend.hint_left', true) IS DISTINCT FROM format('%s %s', p, next.queue)
    THEN
        PERFORM give_hints(ARRAY[next.queue]);
    END IF;
END $$;

-- The queues of a worker in which children wait, and for how many targets.
CREATE OR REPLACE FUNCTION offered_in(queues text[]) RETURNS TABLE (queue text, number bigint) LANGUAGE sql STABLE AS $$
    SELECT o.queue, count(*) FROM offered AS o WHERE o.queue = ANY (queues) GROUP BY o.queue
$$;
