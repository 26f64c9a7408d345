-- Who is told of events, and what they are sent.

-- Register new recipients: they get the events since `since`, and all later ones.
CREATE OR REPLACE FUNCTION register_recipients(names text[], since bigint, at bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    at := coalesce(at, now_micros());
    INSERT INTO recipient (name, seen, registered_at)
    SELECT name, CASE WHEN since < at THEN (SELECT coalesce(max(seq), 0) FROM event WHERE event.at < since)
        ELSE (SELECT coalesce(max(seq), 0) FROM event) END, least(coalesce(since, at), at)
    FROM unnest(names) AS name ORDER BY name
    ON CONFLICT DO NOTHING;
END $$;

-- Drop the messages and events that wait for recipients not in `kept`. Returns how many those were, by recipient.
CREATE OR REPLACE FUNCTION forget_recipients(kept text[]) RETURNS TABLE (name text, number bigint) LANGUAGE plpgsql AS $$
DECLARE gone text;
BEGIN
    FOR gone IN SELECT r.name FROM recipient AS r WHERE r.name <> ALL (kept) ORDER BY r.name FOR UPDATE LOOP
        name := gone;
        SELECT (SELECT count(*) FROM message WHERE recipient = gone AND status = 'waiting')
            + (SELECT count(*) FROM notification WHERE recipient = gone AND message_id IS NULL) INTO number;
        DELETE FROM message WHERE recipient = gone AND status = 'waiting';
        DELETE FROM notification WHERE recipient = gone AND message_id IS NULL;
        DELETE FROM told_critical WHERE recipient = gone;
        DELETE FROM recipient AS r WHERE r.name = gone;
        RETURN NEXT;
    END LOOP;
END $$;

-- Save events for a recipient, and the last change that was read for them. calm: targets that are no longer critical.
CREATE OR REPLACE FUNCTION collect_events(whom text, events jsonb, up_to bigint, calm text[], at bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
    newly_critical bigint[] := '{}';
BEGIN
    at := coalesce(at, now_micros());
    UPDATE recipient SET seen = greatest(seen, up_to) WHERE name = whom;
    DELETE FROM told_critical WHERE recipient = whom AND target = ANY (calm);
    FOR e IN SELECT * FROM jsonb_array_elements(events) LOOP
        IF (e ->> 'parent_id')::bigint = ANY (newly_critical) AND (e ->> 'is_damage')::boolean THEN
            CONTINUE;  -- the event that the target is critical already says this
        END IF;
        IF e ->> 'kind' = 'critical' THEN
            INSERT INTO told_critical (recipient, target, at) VALUES (whom, e ->> 'target', (e ->> 'at')::bigint)
            ON CONFLICT DO NOTHING;
            IF NOT FOUND THEN CONTINUE; END IF;
            newly_critical := newly_critical || (e ->> 'parent_id')::bigint;
        END IF;
        INSERT INTO notification (recipient, kind, at, target, parent_id, ordinal, schedule, facts, created_at)
        VALUES (whom, e ->> 'kind', (e ->> 'at')::bigint, e ->> 'target', (e ->> 'parent_id')::bigint,
            (e ->> 'ordinal')::integer, e ->> 'schedule', e ->> 'facts', at)
        ON CONFLICT DO NOTHING;
    END LOOP;
END $$;

-- Whether a recipient gets this at once: a person may act on it before the night is over.
CREATE OR REPLACE FUNCTION is_urgent(n notification) RETURNS boolean LANGUAGE sql IMMUTABLE
AS $$ SELECT n.kind = 'critical' OR coalesce(
    (n.facts::jsonb -> 'is_running')::boolean, (n.facts::jsonb -> 'is_urgent')::boolean, false) $$;

-- Put all collected events of a recipient into one message, and remove old ones.
CREATE OR REPLACE FUNCTION make_message(whom text, new_key text, only_urgent boolean, kept bigint, at bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    now bigint := coalesce(at, now_micros());
BEGIN
    DELETE FROM message WHERE ended_at < now - kept;
    DELETE FROM message WHERE status = 'waiting' AND created_at < now - kept;
    DELETE FROM notification WHERE message_id IS NULL AND created_at < now - kept;
    PERFORM FROM recipient WHERE name = whom FOR UPDATE;
    IF NOT EXISTS (
        SELECT FROM notification AS n
        WHERE recipient = whom AND message_id IS NULL AND (NOT only_urgent OR is_urgent(n))
    ) THEN RETURN; END IF;
    INSERT INTO message (key, recipient, status, created_at, next_try_at) VALUES (new_key, whom, 'waiting', now, now)
    RETURNING id INTO number;
    UPDATE notification AS n SET message_id = number
    WHERE recipient = whom AND message_id IS NULL AND (NOT only_urgent OR is_urgent(n));
END $$;

-- Retry at once the messages that a dead process was delivering to these recipients.
CREATE OR REPLACE FUNCTION take_over_messages(recipients text[], at bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE message SET sending = false, next_try_at = coalesce(at, now_micros())
    WHERE sending AND recipient = ANY (recipients)
$$;

CREATE OR REPLACE FUNCTION begin_delivery(number bigint) RETURNS void LANGUAGE sql
AS $$ UPDATE message SET attempts = attempts + 1, sending = true WHERE id = number $$;

CREATE OR REPLACE FUNCTION end_delivery(
    number bigint, how text, problem text, took text, next_try bigint, at bigint
) RETURNS void LANGUAGE sql AS $$
    UPDATE message SET sending = false, status = how, error = problem, done = took, next_try_at = next_try,
        ended_at = CASE WHEN how <> 'waiting' THEN coalesce(at, now_micros()) END
    WHERE id = number AND status = 'waiting'
$$;
