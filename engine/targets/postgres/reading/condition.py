"""The condition of a database, from its catalog and statistics alone: no table is read, no extension is needed.

Queries give numbers; `advising` judges them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.reading.ages import AGES, WITH_OPTIONS
from engine.targets.postgres.reading.autovacuum import Autovacuum
from engine.targets.postgres.reading.collations import CollationDrift
from engine.targets.postgres.reading.index_upkeep import IndexUpkeep
from engine.targets.postgres.reading.needless_indexes import NONE_NEEDLESS, NeedlessIndexes
from engine.targets.postgres.reading.pages import PAGE
from engine.targets.postgres.reading.relations import MEASURED_PAGES, Index, Table
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
    """The rows that the last VACUUM or ANALYZE counted; -1 before the first."""
    pages: int
    """Pages of the table and its TOAST table."""
    is_lost: bool = False
    """Whether the server lost its counters of the table, as after a crash or a failover."""
    vacuumed_ago: float | None = None
    """Seconds since the last VACUUM or autovacuum; None if unknown."""
    is_shared: bool = False
    """Whether all databases of the server share it."""


@frozen
class Bloat:
    """Dead space of one table or index."""

    pages: int
    share: float
    """From 0 to 1: the share that a rewrite gives back."""
    is_measured: bool = False
    """Whether its pages were looked at."""
    is_partial: bool = False
    """An estimate of a partial index: its keys may be longer than those of its table are on average."""
    share_if_correlated: float = 0.0
    """An estimate of the share if columns depend on each other."""
    is_expected: bool = False
    """Whether it is what the next VACUUM is expected to leave."""

    @property
    def bytes(self) -> int:
        return self.pages * PAGE

    @property
    def share_at_most(self) -> float:
        return max(self.share, self.share_if_correlated)

    @property
    def wasted(self) -> int:
        return round(self.share * self.bytes)


class Unread(StrEnum):
    """Why the pages of an index were not read."""

    FORBIDDEN = "forbidden"
    NOT_WRITTEN = "not_written"
    """They cannot be read; those of a new index are in memory until a checkpoint."""
    UNLOGGED = "unlogged"
    """No checkpoint writes its pages."""
    NO_TIME = "no_time"


@frozen(kw_only=True)
class Condition:
    """All of it."""

    tables: Sequence[Table]
    indexes: Sequence[Index]
    activity: Sequence[Activity]
    horizon: XminHorizon = NOTHING_HELD
    bloat: Mapping[int, Bloat] = field(default_factory=dict)
    """Bloat of tables, TOAST tables and indexes, by oid, if known."""
    unread: Mapping[int, Unread] = field(default_factory=dict)
    """Indexes and TOAST tables whose pages would tell their bloat, by oid."""
    upkeep: Sequence[IndexUpkeep] = ()
    toast: Mapping[int, int] = field(default_factory=dict)
    """The TOAST tables, by oid of their table."""
    needless: NeedlessIndexes = NONE_NEEDLESS
    drifts: Sequence[CollationDrift] = ()
    check_obstacle: str = ""
    """Why nothing can be checked, as text; "" if it can."""
    counters_reset_at: datetime | None = None
    """None if more than a day ago."""
    counts_nothing: str = ""
    """Why the server does not count activity; "" if it does."""
    xid_age: int = 0
    """The age of the database as a whole: an abandoned temporary table may be older than all others."""
    multixact_age: int = 0
    old_neighbors: Mapping[str, bool] = field(default_factory=dict)
    """The other databases of the server that are near the wraparound: whether each allows connections."""
    autovacuum: Autovacuum = Autovacuum()
    invalid_databases: Sequence[str] = ()
    """The databases of the server that are half dropped."""
    is_standby: bool = False
    """Whether it takes what its primary writes, and nothing else."""
    left_by_pg_repack: Collection[int] = ()
    """The oids of tables where an interrupted pg_repack left something."""


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
        SELECT FROM parts JOIN pg_class AS part ON part.oid = parts.oid WHERE part.relkind = 'r'{part has rows})"""
# Before PostgreSQL 14, the number of rows of a table is 0 until they are counted, and that of a partitioned one always.
_ROWS: Final = "c.reltuples::float8"
_ROWS_BEFORE_14: Final = "(CASE WHEN c.reltuples = 0 AND c.relpages = 0 THEN -1 ELSE c.reltuples END)::float8"
_PARTITIONED: Final = "c.reltuples >= 0"
_PART_HAS_ROWS_BEFORE_14: Final = f"""
            AND (part.reltuples > 0 OR part.relpages = 0 AND {MEASURED_PAGES.replace("{0}", "part")} > 0)"""

# Read by functions: the view of all tables would read the counters of their indexes, too.
# `least` leaves NULL out: before PostgreSQL 18 there is no greatest limit, and -1 means none.
ACTIVITY: Final = f"""
SELECT c.oid::int8, coalesce(pg_stat_get_dead_tuples(c.oid), 0), least({_limit("vacuum")},
        nullif(coalesce((opt ->> 'autovacuum_vacuum_max_threshold')::float8,
            (SELECT nullif(current_setting('autovacuum_vacuum_max_threshold', true), '')::float8)), -1)),
    coalesce(pg_stat_get_ins_since_vacuum(c.oid), 0), {_limit("vacuum_insert", off=True)},
    coalesce(pg_stat_get_mod_since_analyze(c.oid), 0), {_limit("analyze")},
    {AGES},
    coalesce((opt ->> 'autovacuum_enabled')::bool, true),
    CASE WHEN c.relkind = 'p' THEN {{partitioned}} OR NOT {_HAS_ROWS_HERE} ELSE {{has_statistics}} END,
    {{rows}},
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
_STATISTICS: Final = f"({_ANALYZED} OR EXISTS (SELECT FROM pg_statistic AS st WHERE st.starelid = c.oid))"
# A role that may not read pg_statistic sees in pg_stats only what it may read: other tables may have statistics, too.
_STATISTICS_AS_SEEN: Final = f"""({_ANALYZED} OR NOT has_table_privilege(c.oid, 'SELECT') OR EXISTS (
        SELECT FROM pg_stats AS st
        WHERE st.schemaname = c.relnamespace::regnamespace::name AND st.tablename = c.relname))"""

COUNTERS: Final = """
SELECT CASE WHEN stats_reset > clock_timestamp() - interval '1 day' THEN stats_reset END,
    CASE WHEN pg_is_in_recovery() THEN 'a standby does not count what happens to tables: ask its primary'
        WHEN NOT current_setting('track_counts')::bool
        THEN 'what happens to tables is not counted: track_counts is off here' ELSE '' END,
    age(d.datfrozenxid), mxid_age(d.datminmxid)
FROM pg_stat_database AS s JOIN pg_database AS d ON d.oid = s.datid WHERE s.datname = current_database()
"""
OLD_NEIGHBORS: Final = """
SELECT datname::text, datallowconn FROM pg_database
WHERE datname <> current_database() AND datconnlimit <> -2 AND greatest(age(datfrozenxid), mxid_age(datminmxid)) >= %s
ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC, datname
"""
INVALID_DATABASES: Final = "SELECT datname::text FROM pg_database WHERE datconnlimit = -2 ORDER BY 1"
READS_STATISTICS: Final = "SELECT has_table_privilege('pg_catalog.pg_statistic', 'SELECT')"


def activity_query(version: int, *, reads_statistics: bool) -> str:
    has_statistics = _STATISTICS if reads_statistics else _STATISTICS_AS_SEEN
    rows, partitioned, part_has_rows = _ROWS, _PARTITIONED, ""
    if version < 140_000:
        rows, partitioned, part_has_rows = _ROWS_BEFORE_14, has_statistics, _PART_HAS_ROWS_BEFORE_14
    query = ACTIVITY.replace("{has_statistics}", has_statistics).replace("{partitioned}", partitioned)
    return query.replace("{rows}", rows).replace("{part has rows}", part_has_rows)
