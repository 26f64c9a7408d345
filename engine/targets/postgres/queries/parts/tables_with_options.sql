-- Tables, each with its TOAST table and its storage options as jsonb.
FROM pg_class AS c LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
CROSS JOIN LATERAL (SELECT CASE WHEN c.reloptions IS NOT NULL THEN (
    SELECT jsonb_object_agg(split_part(o, '=', 1), split_part(o, '=', 2)) FROM unnest(c.reloptions) AS o) END
) AS own (opt)
