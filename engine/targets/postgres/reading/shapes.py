"""Sizes, rows and widths of tables and indexes by the catalog and its statistics: inputs of estimates of dead space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.reading.relations import NOT_LOCKED


@frozen
class TableShape:
    """Inputs of the estimate of a table's dead space."""

    oid: int
    pages: int
    rows: float
    columns: int
    fill_factor: float
    widths: Sequence[float]
    """Bytes of each column that has statistics, on average, in the order of the row."""
    alignments: Sequence[int]
    """The multiples of bytes at which these columns begin: 1, 2, 4 or 8."""
    null_shares: Sequence[float]
    """The share of NULLs in each of these columns."""


@frozen
class TreeShape:
    """Inputs of the estimate of a B-tree's dead space."""

    oid: int
    pages: int
    rows: float
    widths: Sequence[float]
    """Of each column, as those of a table."""
    alignments: Sequence[int]
    null_shares: Sequence[float]
    distinct: float
    fill_factor: float
    deduplicates: bool
    is_known: bool
    """Whether every column has statistics."""
    is_partial: bool = False
    """Whether it holds only some rows of its table; the statistics are of all rows."""
    rows_left: float | None = None
    """The rows after the next VACUUM, where much has changed since the last one; None where not."""
    pages_now: int | None = None
    distinct_at_least: float = 0.0
    """The distinct values of the column with most of them: if the others depend on it, there are no more keys."""

    @property
    def is_expected(self) -> bool:
        """Whether this is what the next VACUUM is expected to leave."""
        return self.rows == self.rows_left

    @property
    def after_vacuum(self) -> TreeShape:
        """What the catalog will say of it then."""
        rows = self.rows if self.rows_left is None else self.rows_left
        return replace(self, rows=rows, pages=self.pages if self.pages_now is None else self.pages_now)


@frozen
class ToastShape:
    """Inputs of the estimate of a TOAST table's dead space, and of its index."""

    table: int
    """The oid of the table that it belongs to."""
    oid: int
    pages: int
    chunks: float
    index: int
    index_pages: int
    index_rows: float

    @property
    def tree(self) -> TreeShape:
        """Its index: a key is the number of a value and of a chunk."""
        rows = self.index_rows
        return TreeShape(self.index, self.index_pages, rows, [4, 4], [4, 4], [0, 0], rows, 0.9, False, True)


@frozen
class IndexShape:
    """Inputs of the estimate of the dead space of a GIN, GiST or SP-GiST index."""

    oid: int
    method: str
    operators: str
    """The operator class of its first key."""
    is_sorted: bool
    """Whether its operator classes can sort, so that GiST packs what it builds."""
    pages: int
    rows: float
    is_packed: bool = False
    """Whether GiST, where it sorts, fills each page: before PostgreSQL 15."""
    is_unlogged: bool = False
    share_left: float = 1.0
    """The share of the rows that the next VACUUM leaves, where much has changed since the last one."""


@frozen
class HashShape:
    """Inputs of the estimate of a hash index's dead space."""

    oid: int
    pages: int
    rows: float
    distinct: float
    fill_factor: float


_COLUMNS: Final = """
SELECT starelid, staattnum, stanullfrac, stawidth, stadistinct FROM pg_statistic WHERE NOT stainherit
"""
_COLUMNS_AS_SEEN: Final = """
SELECT sc.oid AS starelid, a.attnum AS staattnum, s.null_frac AS stanullfrac, s.avg_width AS stawidth,
    s.n_distinct AS stadistinct
FROM pg_stats AS s JOIN pg_namespace AS sn ON sn.nspname = s.schemaname
JOIN pg_class AS sc ON sc.relnamespace = sn.oid AND sc.relname = s.tablename
JOIN pg_attribute AS a ON a.attrelid = sc.oid AND a.attname = s.attname WHERE NOT s.inherited
"""
_FILL_FACTOR: Final = """coalesce((SELECT split_part(o, '=', 2)::float8 FROM unnest({0}.reloptions) AS o
    WHERE starts_with(o, 'fillfactor=')), {1}) / 100"""

_ALIGNMENT: Final = """CASE WHEN {a}.attlen = -1 AND {a}.attstorage <> 'p' AND {width} < 127 THEN 1
    ELSE CASE {a}.attalign WHEN 'c' THEN 1 WHEN 's' THEN 2 WHEN 'i' THEN 4 ELSE 8 END END"""
"""A value of variable length that is short begins at any byte."""

TABLE_SHAPES: Final = f"""
WITH columns AS {{how}} ({{columns}}), known AS (
    SELECT a.attrelid, array_agg(one.stawidth::float8 ORDER BY a.attnum) AS widths,
        array_agg({_ALIGNMENT.format(a="a", width="one.stawidth")} ORDER BY a.attnum) AS alignments,
        array_agg(one.stanullfrac::float8 ORDER BY a.attnum) AS null_shares
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    JOIN columns AS one ON one.starelid = a.attrelid AND one.staattnum = a.attnum
    WHERE c.relkind IN ('r', 'm') AND c.reltuples >= 0 AND c.relpages >= {{least}} GROUP BY 1)
SELECT c.oid::int8, c.relpages::int8, c.reltuples::float8, c.relnatts::int4, {_FILL_FACTOR.format("c", 100)},
    known.widths, known.alignments, known.null_shares
FROM pg_class AS c JOIN known ON known.attrelid = c.oid
"""
# Numbers with decimals may be equal and look different, as may texts by the rules of some languages: these are never
# stored once for several rows, and neither are the keys of an index with further columns.
_EQUAL_KEYS_ARE_ALIKE: Final = """x.indnkeyatts = x.indnatts AND NOT EXISTS (
        SELECT FROM unnest(x.indclass::oid[]) AS class JOIN pg_opclass AS c ON c.oid = class
        WHERE NOT EXISTS (SELECT FROM pg_amproc AS p WHERE p.amprocfamily = c.opcfamily AND p.amprocnum = 4
            AND p.amproclefttype = c.opcintype AND p.amprocrighttype = c.opcintype))
    AND NOT EXISTS (SELECT FROM unnest(x.indcollation::oid[]) AS used JOIN pg_collation AS l ON l.oid = used
        WHERE NOT l.collisdeterministic)"""
_MUCH: Final = 0.2
"""So many dead rows for each row of an index change the estimate of its size.

But a session that deletes rows and removes them by VACUUM within a second reports the deletes afterwards, and the
server counts them twice. Where no row would be left that is seen at once, else after the next VACUUM.
"""
_CHANGED: Final = f"""pg_stat_get_dead_tuples({{table}}) > {_MUCH} * {{rows}}
        AND (pg_stat_get_live_tuples({{table}}) > 0 OR pg_stat_get_dead_tuples({{table}}) <= {{rows}})
        AND coalesce(
        pg_stat_get_last_vacuum_time({{table}}), pg_stat_get_last_autovacuum_time({{table}}),
        pg_stat_get_last_analyze_time({{table}}), pg_stat_get_last_autoanalyze_time({{table}})) IS NOT NULL"""
TREE_SHAPES: Final = f"""
WITH columns AS {{how}} ({{columns}}), keys AS (
    SELECT x.indexrelid, x.indrelid, x.indisunique, key.place, key.number, x.indpred IS NOT NULL AS is_partial,
        a.attlen, a.attstorage, a.attalign
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS key (number, place)
    JOIN pg_attribute AS a ON a.attrelid = x.indexrelid AND a.attnum = key.place
    WHERE x.indisvalid AND i.relpages >= {{least}} AND i.reltuples >= 0),
known AS (
    SELECT k.indexrelid, k.indrelid, bool_or(k.indisunique) AS is_unique, bool_or(k.is_partial) AS is_partial,
        array_agg(coalesce(own.stawidth, made.stawidth, 8)::float8 ORDER BY k.place) AS widths,
        array_agg({_ALIGNMENT.format(a="k", width="coalesce(own.stawidth, made.stawidth, 8)")} ORDER BY k.place)
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
    exp(least(known.log_distinct, 60))::float8, {_FILL_FACTOR.format("i", 90)},
    NOT known.is_unique AND {_EQUAL_KEYS_ARE_ALIKE} AND NOT EXISTS (
        SELECT FROM unnest(i.reloptions) AS o WHERE o IN ('deduplicate_items=off', 'deduplicate_items=false')),
    known.is_known, known.is_partial,
    CASE WHEN changed THEN pg_stat_get_live_tuples(known.indrelid)::float8 END,
    CASE WHEN changed AND {NOT_LOCKED.replace("{0}", "i")}
        THEN pg_relation_size(i.oid) / current_setting('block_size')::int8 END,
    coalesce(known.least_distinct, 0)::float8
FROM known JOIN pg_class AS i ON i.oid = known.indexrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_index AS x ON x.indexrelid = i.oid
CROSS JOIN LATERAL (
    SELECT NOT known.is_partial AND {_CHANGED.format(table="known.indrelid", rows="i.reltuples")}) AS one (changed)
WHERE am.amname = 'btree'
"""

TOAST_SHAPES: Final = """
SELECT c.oid::int8, t.oid::int8, t.relpages::int8, t.reltuples::float8, i.oid::int8, i.relpages::int8,
    greatest(i.reltuples, 0)::float8
FROM pg_class AS c JOIN pg_class AS t ON t.oid = c.reltoastrelid JOIN pg_index AS x ON x.indrelid = t.oid
JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE greatest(t.relpages, i.relpages) >= {least} AND t.reltuples >= 0 AND x.indisvalid AND c.relkind IN ('r', 'm')
"""
INDEX_SHAPES: Final = f"""
SELECT i.oid::int8, am.amname, c.opcname, NOT EXISTS (
        SELECT FROM unnest(x.indclass::oid[]) AS class JOIN pg_opclass AS o ON o.oid = class
        WHERE NOT EXISTS (SELECT FROM pg_amproc AS p WHERE p.amprocfamily = o.opcfamily AND p.amprocnum = 11
            AND p.amproclefttype = o.opcintype AND p.amprocrighttype = o.opcintype)),
    i.relpages::int8, i.reltuples::float8, current_setting('server_version_num')::int < 150000, i.relpersistence = 'u',
    CASE WHEN x.indpred IS NULL AND t.reltuples > 0 AND {_CHANGED.format(table="t.oid", rows="t.reltuples")}
        THEN least(pg_stat_get_live_tuples(t.oid) / t.reltuples, 1) ELSE 1 END::float8
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_opclass AS c ON c.oid = x.indclass[0]
WHERE am.amname IN ('gin', 'gist', 'spgist') AND x.indisvalid AND i.relpages >= {{least}} AND i.reltuples >= 0
"""
HASH_SHAPES: Final = f"""
WITH columns AS {{how}} ({{columns}})
SELECT i.oid::int8, i.relpages::int8, i.reltuples::float8, coalesce(CASE
        WHEN one.stadistinct < 0 THEN -one.stadistinct * t.reltuples
        WHEN one.stadistinct > 0 THEN one.stadistinct END, i.reltuples)::float8, {_FILL_FACTOR.format("i", 75)}
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_class AS t ON t.oid = x.indrelid
LEFT JOIN columns AS one ON CASE WHEN x.indkey[0] = 0 THEN one.starelid = i.oid AND one.staattnum = 1
    ELSE one.starelid = t.oid AND one.staattnum = x.indkey[0] END
WHERE am.amname = 'hash' AND x.indisvalid AND i.relpages >= {{least}} AND i.reltuples >= 0
"""
LIVE_ROWS: Final = """
SELECT oid::int8, pg_stat_get_live_tuples(oid)::float8 FROM pg_class WHERE relkind IN ('r', 'm', 't') AND relpages > 0
"""
LEAST_PAGES: Final = 128
"""Smaller tables and indexes (1 MB) are not estimated."""


def shapes_query(query: str, *, reads_statistics: bool) -> str:
    # The table itself finds each row by its index; the view would be read as a whole for each row.
    how, columns = ("NOT MATERIALIZED", _COLUMNS) if reads_statistics else ("", _COLUMNS_AS_SEEN)
    return query.replace("{how}", how).replace("{columns}", columns).replace("{least}", str(LEAST_PAGES))
