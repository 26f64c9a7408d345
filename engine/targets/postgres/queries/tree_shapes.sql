-- What tells how large each B-tree would be without dead space.
WITH columns AS {statistics_of_columns}, keys AS (
    SELECT x.indexrelid, x.indrelid, x.indisunique, key.place, key.number, x.indpred IS NOT NULL AS is_partial,
        a.attlen, a.attstorage, a.attalign
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS key (number, place)
    JOIN pg_attribute AS a ON a.attrelid = x.indexrelid AND a.attnum = key.place
    WHERE x.indisvalid AND i.relpages >= {least} AND i.reltuples >= 0),
known AS (
    SELECT k.indexrelid, k.indrelid, bool_or(k.indisunique) AS is_unique, bool_or(k.is_partial) AS is_partial,
        array_agg(coalesce(own.stawidth, made.stawidth, 8)::float8 ORDER BY k.place) AS widths,
        array_agg({alignment k; coalesce(own.stawidth, made.stawidth, 8)} ORDER BY k.place)
            AS alignments,
        array_agg(coalesce(own.stanullfrac, made.stanullfrac, 0)::float8 ORDER BY k.place) AS null_shares,
        bool_and(own.starelid IS NOT NULL OR made.starelid IS NOT NULL) AS is_known,
        sum(ln(greatest(1, CASE
            WHEN coalesce(own.stadistinct, made.stadistinct) < 0
                THEN -coalesce(own.stadistinct, made.stadistinct) * greatest(t.reltuples, 1)
            WHEN coalesce(own.stadistinct, made.stadistinct) > 0 THEN coalesce(own.stadistinct, made.stadistinct)
            ELSE greatest(t.reltuples, 1) END::float8))) AS log_distinct,
        max(greatest(1, CASE
            WHEN coalesce(own.stadistinct, made.stadistinct) < 0
                THEN -coalesce(own.stadistinct, made.stadistinct) * greatest(t.reltuples, 1)
            ELSE coalesce(own.stadistinct, made.stadistinct) END::float8)) AS least_distinct
    FROM keys AS k JOIN pg_class AS t ON t.oid = k.indrelid AND t.relkind <> 't'
    LEFT JOIN columns AS own ON own.starelid = k.indrelid AND own.staattnum = k.number AND k.number <> 0
    LEFT JOIN columns AS made ON made.starelid = k.indexrelid AND made.staattnum = k.place AND k.number = 0
    GROUP BY 1, 2)
SELECT i.oid::int8, i.relpages::int8, i.reltuples::float8, known.widths, known.alignments, known.null_shares,
    exp(least(known.log_distinct, 60))::float8, {fill_factor i; 90},
    NOT known.is_unique AND {equal_keys_are_alike} AND NOT EXISTS (
        SELECT FROM unnest(i.reloptions) AS o WHERE o IN ('deduplicate_items=off', 'deduplicate_items=false')),
    known.is_known, known.is_partial,
    CASE WHEN changed THEN pg_stat_get_live_tuples(known.indrelid)::float8 END,
    CASE WHEN changed AND {not_locked i}
        THEN pg_relation_size(i.oid) / current_setting('block_size')::int8 END,
    coalesce(known.least_distinct, 0)::float8
FROM known JOIN pg_class AS i ON i.oid = known.indexrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_index AS x ON x.indexrelid = i.oid
CROSS JOIN LATERAL (
    SELECT NOT known.is_partial AND {changed known.indrelid; i.reltuples}) AS one (changed)
WHERE am.amname = 'btree'
