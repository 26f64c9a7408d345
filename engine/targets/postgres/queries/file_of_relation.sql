-- The number of the file of a table or index.
SELECT pg_relation_filenode(%s::oid)::int8
