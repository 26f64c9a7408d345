-- The last inspection of each target, and what is known to be damaged in it.

-- A new URL of a database takes over the damage that is on record by its other URLs. A clean check by this URL ends it
-- for this URL alone: a server may lie about its identity.
CREATE OR REPLACE FUNCTION name_database(of_target text, key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO database_name AS n VALUES (of_target, key)
    ON CONFLICT (target) DO UPDATE SET database = excluded.database WHERE n.database <> excluded.database;
    IF NOT FOUND THEN RETURN; END IF;
    INSERT INTO damage (target, object, source, found_at, facts)
    SELECT of_target, d.object, d.source, d.found_at, d.facts FROM damage AS d JOIN database_name AS n USING (target)
    WHERE n.database = key AND d.target <> of_target AND d.facts::jsonb ->> 'accepted_at' IS NULL
    ORDER BY d.target ON CONFLICT DO NOTHING;
END $$;

CREATE OR REPLACE FUNCTION save_damage(of_target text, change jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO damage (target, object, source, found_at, facts)
    SELECT o.target, f.one ->> 0, f.one ->> 1, (f.one ->> 2)::bigint, f.one ->> 3
    FROM jsonb_array_elements(change -> 'found') AS f (one), database_name AS n JOIN database_name AS o USING (database)
    WHERE n.target = of_target AND o.target <> of_target AND (f.one ->> 3)::jsonb ->> 'accepted_at' IS NULL
        AND NOT ((f.one ->> 3)::jsonb ->> 'is_repaired')::boolean
        AND (f.one ->> 1 = 'server_lost' OR NOT EXISTS (SELECT FROM damage AS d
            WHERE d.target = of_target AND d.object = f.one ->> 0 AND d.source = f.one ->> 1))
    ON CONFLICT DO NOTHING;
    DELETE FROM damage AS d USING jsonb_array_elements(change -> 'ended') AS e (key)
    WHERE d.target = of_target AND d.object = e.key ->> 0 AND d.source = e.key ->> 1;
    INSERT INTO damage (target, object, source, found_at, facts)
    SELECT of_target, f.one ->> 0, f.one ->> 1, (f.one ->> 2)::bigint, f.one ->> 3
    FROM jsonb_array_elements(change -> 'found') AS f (one)
    ON CONFLICT (target, object, source) DO UPDATE SET found_at = excluded.found_at, facts = excluded.facts
$$;

CREATE OR REPLACE FUNCTION save_surveys(done jsonb, oldest bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM survey WHERE surveyed_at < oldest;
    -- Who was told that it is gone is told what is critical once it is back.
    DELETE FROM told_critical AS t USING survey AS s, jsonb_to_recordset(done) AS x (target text, reason text)
    WHERE s.target = t.target AND x.target = t.target AND s.reason = 'gone' AND x.reason IS DISTINCT FROM 'gone';
    INSERT INTO survey AS s (target, engine, surveyed_at, level, reason, size, reclaimable, checked_at, facts)
    SELECT x.* FROM jsonb_to_recordset(done) AS x (
        target text, engine text, surveyed_at bigint, level text, reason text, size bigint, reclaimable bigint,
        checked_at bigint, facts text)
    ORDER BY target
    ON CONFLICT (target) DO UPDATE SET engine = excluded.engine, surveyed_at = excluded.surveyed_at,
        level = excluded.level, reason = excluded.reason, size = excluded.size, reclaimable = excluded.reclaimable,
        checked_at = excluded.checked_at, facts = excluded.facts
$$;

-- Remove all that is known of these targets apart from their jobs.
CREATE OR REPLACE FUNCTION forget_databases(targets text[]) RETURNS void LANGUAGE sql AS $$
    DELETE FROM survey WHERE target = ANY (targets);
    DELETE FROM measured WHERE target = ANY (targets);
    DELETE FROM last_run WHERE target = ANY (targets);
    DELETE FROM told_critical WHERE target = ANY (targets);
    DELETE FROM damage WHERE target = ANY (targets);
    DELETE FROM database_name WHERE target = ANY (targets);
$$;
