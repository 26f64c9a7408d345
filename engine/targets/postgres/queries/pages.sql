-- Some pages of a relation, without the hole in each.
WITH read AS MATERIALIZED (
    SELECT block, pg_read_binary_file(
        path || CASE WHEN block >= {pages_in_a_file} THEN '.' || block / {pages_in_a_file} ELSE '' END,
        block %% {pages_in_a_file} * {page}, {page}, true) AS page
    FROM pg_relation_filepath(%(oid)s::oid::regclass) AS path CROSS JOIN unnest(%(blocks)s::int8[]) AS block),
whole AS MATERIALIZED (SELECT block, page FROM read WHERE length(page) = {page})
SELECT substr(page, 1, lower), substr(page, upper + 1)
FROM whole CROSS JOIN LATERAL (
    SELECT get_byte(page, 12) + 256 * get_byte(page, 13), get_byte(page, 14) + 256 * get_byte(page, 15)
) AS hole (lower, upper)
WHERE lower BETWEEN 24 AND upper AND upper <= {page} ORDER BY block
