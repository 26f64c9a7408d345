-- What tells how large each hash index would be without dead space.
WITH columns AS {statistics_of_columns}
SELECT i.oid::int8, i.relpages::int8, i.reltuples::float8, coalesce(CASE
        WHEN one.stadistinct < 0 THEN -one.stadistinct * t.reltuples
        WHEN one.stadistinct > 0 THEN one.stadistinct END, i.reltuples)::float8, {fill_factor i; 75}
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_class AS t ON t.oid = x.indrelid
LEFT JOIN columns AS one ON CASE WHEN x.indkey[0] = 0 THEN one.starelid = i.oid AND one.staattnum = 1
    ELSE one.starelid = t.oid AND one.staattnum = x.indkey[0] END
WHERE am.amname = 'hash' AND x.indisvalid AND i.relpages >= {least} AND i.reltuples >= 0
