-- The sizes of these tables, with their indexes.
SELECT c.oid::int8, pg_total_relation_size(c.oid)::int8 FROM pg_class AS c JOIN {briefly} ON briefly.set <> ''
WHERE c.oid = ANY (%s::oid[])
