"""The condition of a database, from its catalog and statistics alone: no table is read, no extension is needed.

Queries give numbers; `advising` judges them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.reading.ages import AGES, WITH_OPTIONS
from engine.targets.postgres.reading.collations import CollationDrift
from engine.targets.postgres.reading.relations import LEFTOVER, MEASURED_PAGES, NOT_LOCKED, Index, Table
from engine.targets.postgres.reading.xmin_horizon import NOTHING_HELD, XminHorizon


@frozen
class Activity:
    """Activity of a table since its last maintenance, with the thresholds of autovacuum."""

    oid: int
    dead: int
    dead_limit: float
    inserted: int
    inserted_limit: float
    modified: int
    modified_limit: float
    xid_age: int
    xid_limit: int
    multixact_age: int
    multixact_limit: int
    has_autovacuum: bool
    has_statistics: bool
    """Whether the planner has any: true also where the counters were reset."""
    rows: float
    """By the last VACUUM or ANALYZE; -1 before the first."""
    pages: int
    """Of the table and its TOAST."""
    is_lost: bool = False
    """Whether the server lost its counters of the table, as after a crash or a failover."""
    vacuumed_ago: float | None = None
    """Seconds since the last VACUUM or autovacuum; None if unknown."""
    is_shared: bool = False
    """Whether all databases of the server share it."""


@frozen
class TableShape:
    """Inputs of the estimate of a table's dead space."""

    oid: int
    pages: int
    rows: float
    width: float
    columns: int
    has_nulls: bool
    fill_factor: float


@frozen
class TreeShape:
    """Inputs of the estimate of a B-tree's dead space."""

    oid: int
    pages: int
    rows: float
    width: float
    has_nulls: bool
    null_share: float
    """Of a single column."""
    distinct: float
    fill_factor: float
    deduplicates: bool
    is_known: bool
    """Whether every column has statistics."""
    is_partial: bool = False
    """Whether it holds only some rows of its table; the statistics are of all rows."""
    rows_left: float | None = None
    """After the next VACUUM, where much has changed since the last one; None where not."""
    pages_now: int | None = None

    @property
    def after_vacuum(self) -> TreeShape:
        """What the catalog will say of it then."""
        rows = self.rows if self.rows_left is None else self.rows_left
        return replace(self, rows=rows, pages=self.pages if self.pages_now is None else self.pages_now)


@frozen
class Duplicate:
    """An index that does the same as another."""

    schema: str
    name: str
    same_as: str
    bytes: int


@frozen(kw_only=True)
class Condition:
    """All of it."""

    tables: Sequence[Table]
    indexes: Sequence[Index]
    activity: Sequence[Activity]
    horizon: XminHorizon = NOTHING_HELD
    table_shapes: Sequence[TableShape] = ()
    tree_shapes: Sequence[TreeShape] = ()
    duplicates: Sequence[Duplicate] = ()
    drifts: Sequence[CollationDrift] = ()
    density: dict[int, float] = field(default_factory=dict)
    """Measured density of the leaf pages of B-trees, in percent, by oid."""
    free_share: dict[int, float] = field(default_factory=dict)
    """Measured share of free and dead space of tables, by oid."""
    check_obstacle: str = ""
    """Why nothing can be checked, as text; "" if it can."""
    counters_reset_at: datetime | None = None
    """None if more than a day ago."""
    counts_nothing: str = ""
    """Why the server does not count activity; "" if it does."""
    xid_age: int = 0
    """Of the database as a whole: an abandoned temporary table may be older than all others."""
    multixact_age: int = 0


# A subselect reads a setting once, instead of once per table.
_SETTING: Final = "coalesce((opt ->> '{0}')::float8, (SELECT current_setting('{0}')::float8))"


def _limit(what: str, *, off: bool = False) -> str:
    """`off`: a threshold below 0 means that there is no limit."""
    threshold, factor = (_SETTING.replace("{0}", f"autovacuum_{what}_{part}") for part in ("threshold", "scale_factor"))
    limit = f"{threshold} + {factor} * greatest(c.reltuples, 0)"
    return f"CASE WHEN {threshold} < 0 THEN 'infinity'::float8 ELSE {limit} END" if off else limit


# A table that was never vacuumed or analyzed has relpages 0; ANALYZE counts no TOAST.
_REAL_PAGES: Final = MEASURED_PAGES.replace("{0}", "c")
_TOAST_PAGES: Final = f"""coalesce(CASE WHEN toast.relpages = 0 AND toast.reltuples <= 0
        THEN {MEASURED_PAGES.replace("{0}", "toast")} ELSE toast.relpages::int8 END, 0)"""

# ANALYZE does nothing to a partitioned table without local partitions.
_HAS_ROWS_HERE: Final = """EXISTS (
        WITH RECURSIVE parts (oid) AS (
            SELECT h.inhrelid FROM pg_inherits AS h WHERE h.inhparent = c.oid
            UNION ALL SELECT h.inhrelid FROM pg_inherits AS h JOIN parts ON h.inhparent = parts.oid)
        SELECT FROM parts JOIN pg_class AS part ON part.oid = parts.oid WHERE part.relkind = 'r')"""

# By function: the view of all tables would count what their indexes do, too.
# `least` leaves NULL out: before PostgreSQL 18 there is no greatest limit, and -1 means none.
ACTIVITY: Final = f"""
SELECT c.oid::int8, coalesce(pg_stat_get_dead_tuples(c.oid), 0), least({_limit("vacuum")},
        nullif(coalesce((opt ->> 'autovacuum_vacuum_max_threshold')::float8,
            (SELECT nullif(current_setting('autovacuum_vacuum_max_threshold', true), '')::float8)), -1)),
    coalesce(pg_stat_get_ins_since_vacuum(c.oid), 0), {_limit("vacuum_insert", off=True)},
    coalesce(pg_stat_get_mod_since_analyze(c.oid), 0), {_limit("analyze")},
    {AGES},
    coalesce((opt ->> 'autovacuum_enabled')::bool, true),
    CASE WHEN c.relkind = 'p' THEN c.reltuples >= 0 OR NOT {_HAS_ROWS_HERE} ELSE {{has_statistics}} END,
    c.reltuples::float8,
    CASE WHEN c.relpages = 0 AND c.reltuples <= 0 AND c.relkind <> 'p' THEN {_REAL_PAGES} ELSE c.relpages::int8 END
        + {_TOAST_PAGES},
    c.relkind <> 'p'
        AND pg_stat_get_live_tuples(c.oid) + pg_stat_get_dead_tuples(c.oid) < greatest(c.reltuples / 2, 0.5)
        AND coalesce(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid),
            pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) IS NULL
        AND (SELECT current_setting('track_counts')::bool AND NOT pg_is_in_recovery()),
    extract(epoch FROM clock_timestamp()
        - greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)))::float8,
    c.relisshared
{WITH_OPTIONS}
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
"""
# A table may have none though it is analyzed: without columns, or where no column is to have any.
_ANALYZED: Final = """pg_stat_get_last_analyze_time(c.oid) IS NOT NULL
    OR pg_stat_get_last_autoanalyze_time(c.oid) IS NOT NULL"""
_STATISTICS: Final = f"(EXISTS (SELECT FROM pg_statistic AS st WHERE st.starelid = c.oid) OR {_ANALYZED})"
# Who may not read pg_statistic sees in pg_stats what the role may read; of the rest it is not said that it has none.
_STATISTICS_AS_SEEN: Final = f"""({_ANALYZED} OR NOT has_table_privilege(c.oid, 'SELECT') OR EXISTS (
        SELECT FROM pg_stats AS st
        WHERE st.schemaname = c.relnamespace::regnamespace::name AND st.tablename = c.relname))"""

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

TABLE_SHAPES: Final = f"""
WITH columns AS ({{columns}}), known AS (
    SELECT starelid, sum((1 - stanullfrac) * stawidth) AS width, bool_or(stanullfrac > 0) AS has_nulls
    FROM columns GROUP BY 1)
SELECT c.oid::int8, c.relpages::int8, c.reltuples::float8, known.width::float8, c.relnatts::int4, known.has_nulls,
    {_FILL_FACTOR.format("c", 100)}
FROM pg_class AS c JOIN known ON known.starelid = c.oid
WHERE c.relkind IN ('r', 'm') AND c.reltuples > 0 AND c.relpages >= {{least}}
"""
_MUCH: Final = 0.2
"""So many dead rows for each row of an index change the estimate of its size."""
TREE_SHAPES: Final = f"""
WITH columns AS {{how}} ({{columns}}), keys AS (
    SELECT x.indexrelid, x.indrelid, x.indisunique, key.place, key.number, x.indpred IS NOT NULL AS is_partial
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS key (number, place)
    WHERE x.indisvalid AND i.relpages >= {{least}} AND i.reltuples > 0),
known AS (
    SELECT k.indexrelid, k.indrelid, bool_or(k.indisunique) AS is_unique, bool_or(k.is_partial) AS is_partial,
        sum(coalesce(own.stawidth, made.stawidth, 8)) AS width,
        coalesce(bool_or(coalesce(own.stanullfrac, made.stanullfrac) > 0), false) AS has_nulls,
        CASE WHEN count(*) = 1 THEN coalesce(max(coalesce(own.stanullfrac, made.stanullfrac)), 0) ELSE 0 END AS nulls,
        bool_and(own.starelid IS NOT NULL OR made.starelid IS NOT NULL) AS is_known,
        sum(ln(greatest(1, CASE
            WHEN coalesce(own.stadistinct, made.stadistinct) < 0
                THEN -coalesce(own.stadistinct, made.stadistinct) * greatest(t.reltuples, 1)
            WHEN coalesce(own.stadistinct, made.stadistinct) > 0 THEN coalesce(own.stadistinct, made.stadistinct)
            ELSE greatest(t.reltuples, 1) END::float8))) AS log_distinct
    FROM keys AS k JOIN pg_class AS t ON t.oid = k.indrelid
    LEFT JOIN columns AS own ON own.starelid = k.indrelid AND own.staattnum = k.number AND k.number <> 0
    LEFT JOIN columns AS made ON made.starelid = k.indexrelid AND made.staattnum = k.place AND k.number = 0
    GROUP BY 1, 2)
SELECT i.oid::int8, i.relpages::int8, i.reltuples::float8, known.width::float8, known.has_nulls, known.nulls::float8,
    exp(least(known.log_distinct, 60))::float8, {_FILL_FACTOR.format("i", 90)},
    NOT known.is_unique AND NOT EXISTS (
        SELECT FROM unnest(i.reloptions) AS o WHERE o IN ('deduplicate_items=off', 'deduplicate_items=false')),
    known.is_known, known.is_partial,
    CASE WHEN changed THEN pg_stat_get_live_tuples(known.indrelid)::float8 END,
    CASE WHEN changed AND {NOT_LOCKED.replace("{0}", "i")}
        THEN pg_relation_size(i.oid) / current_setting('block_size')::int8 END
FROM known JOIN pg_class AS i ON i.oid = known.indexrelid JOIN pg_am AS am ON am.oid = i.relam
CROSS JOIN LATERAL (
    SELECT NOT known.is_partial AND pg_stat_get_dead_tuples(known.indrelid) > {_MUCH} * i.reltuples AND coalesce(
        pg_stat_get_last_vacuum_time(known.indrelid), pg_stat_get_last_autovacuum_time(known.indrelid),
        pg_stat_get_last_analyze_time(known.indrelid), pg_stat_get_last_autoanalyze_time(known.indrelid)) IS NOT NULL
) AS one (changed)
WHERE am.amname = 'btree'
"""

# A unique index is replaced by none that lets more through: before PostgreSQL 15 NULLs are always distinct. One that
# belongs to a constraint, that a foreign key refers to, that identifies rows for replication or that is part of a
# partitioned index is not to be dropped at all.
DUPLICATES: Final = rf"""
WITH each AS (
    SELECT x.indexrelid, x.indrelid, x.indisunique, x.indimmediate, i.relname, i.relnamespace, i.relpages, is_needed,
        CASE WHEN x.indisunique THEN to_jsonb(x) ->> 'indnullsnotdistinct' END AS nulls,
        ROW(i.relam, x.indkey::text, x.indclass::text, x.indcollation::text, x.indoption::text, x.indnkeyatts,
            pg_get_expr(x.indexprs, x.indrelid), pg_get_expr(x.indpred, x.indrelid))::text AS does,
        row_number() OVER (PARTITION BY x.indrelid
            ORDER BY is_needed DESC, x.indisunique DESC, i.relname ~ '{LEFTOVER}', x.indexrelid) AS place
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    CROSS JOIN LATERAL (SELECT x.indisreplident OR i.relispartition
        OR x.indexrelid IN (SELECT k.conindid FROM pg_constraint AS k)) AS one (is_needed)
    WHERE x.indisvalid AND i.relkind = 'i'),
found AS (
    SELECT DISTINCT ON (x.indexrelid) x.*, kept.relname AS kept
    FROM each AS x JOIN each AS kept
        ON kept.indrelid = x.indrelid AND kept.does = x.does AND kept.place < x.place
        AND (NOT x.indisunique OR kept.indisunique AND kept.indimmediate AND kept.nulls IS NOT DISTINCT FROM x.nulls)
    WHERE NOT x.is_needed ORDER BY x.indexrelid, kept.place)
SELECT n.nspname, found.relname, found.kept, found.relpages::int8 * current_setting('block_size')::int8
FROM found JOIN pg_namespace AS n ON n.oid = found.relnamespace
WHERE n.nspname !~ '^(pg_|information_schema$)' ORDER BY 4 DESC, 1, 2
"""

COUNTERS: Final = """
SELECT CASE WHEN stats_reset > clock_timestamp() - interval '1 day' THEN stats_reset END,
    CASE WHEN pg_is_in_recovery() THEN 'a standby does not count what happens to tables: ask its primary'
        WHEN NOT current_setting('track_counts')::bool
        THEN 'what happens to tables is not counted: track_counts is off here' ELSE '' END,
    age(d.datfrozenxid), mxid_age(d.datminmxid)
FROM pg_stat_database AS s JOIN pg_database AS d ON d.oid = s.datid WHERE s.datname = current_database()
"""
READS_STATISTICS: Final = "SELECT has_table_privilege('pg_catalog.pg_statistic', 'SELECT')"
LEAST_PAGES: Final = 128
"""Smaller tables and indexes (1 MB) are not estimated."""


def activity_query(*, reads_statistics: bool) -> str:
    return ACTIVITY.replace("{has_statistics}", _STATISTICS if reads_statistics else _STATISTICS_AS_SEEN)


def shapes_query(query: str, *, reads_statistics: bool) -> str:
    # Of the table itself each row is found by its index; the view would be gone through again and again.
    how, columns = ("NOT MATERIALIZED", _COLUMNS) if reads_statistics else ("", _COLUMNS_AS_SEEN)
    return query.replace("{how}", how).replace("{columns}", columns).replace("{least}", str(LEAST_PAGES))
