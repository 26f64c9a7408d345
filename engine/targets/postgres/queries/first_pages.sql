-- The first page of each of these relations.
SELECT oid, page FROM (
    SELECT oid, pg_read_binary_file(pg_relation_filepath(oid::oid), 0, {page}, true) AS page
    FROM unnest(%(oids)s::int8[]) AS oid OFFSET 0) AS one WHERE length(page) = {page}
