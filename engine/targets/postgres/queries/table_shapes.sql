-- What tells how large each table would be without dead space.
WITH columns AS {statistics_of_columns}, known AS (
    SELECT a.attrelid, array_agg(one.stawidth::float8 ORDER BY a.attnum) AS widths,
        array_agg({alignment a; one.stawidth} ORDER BY a.attnum) AS alignments,
        array_agg(one.stanullfrac::float8 ORDER BY a.attnum) AS null_shares
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    JOIN columns AS one ON one.starelid = a.attrelid AND one.staattnum = a.attnum
    WHERE c.relkind IN ('r', 'm') AND c.reltuples >= 0 AND c.relpages >= {least} GROUP BY 1)
SELECT c.oid::int8, c.relpages::int8, c.reltuples::float8, c.relnatts::int4, {fill_factor c; 100},
    known.widths, known.alignments, known.null_shares
FROM pg_class AS c JOIN known ON known.attrelid = c.oid
