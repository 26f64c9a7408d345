-- The sizes of these tables, by name.
-- A concurrent rebuild makes a new index with the same name.
SELECT name, pg_total_relation_size(to_regclass(name))::int8
FROM unnest(%s::text[]) AS name JOIN {briefly} ON briefly.set <> ''
