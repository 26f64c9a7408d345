"""The condition of a database, from its catalog and statistics alone: no table is read, no extension is needed.

Queries give numbers; `advising` judges them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from engine.domain.frozen import frozen
from engine.targets.postgres.reading.autovacuum import Autovacuum
from engine.targets.postgres.reading.collations import CollationDrift
from engine.targets.postgres.reading.index_upkeep import IndexUpkeep
from engine.targets.postgres.reading.needless_indexes import NONE_NEEDLESS, NeedlessIndexes
from engine.targets.postgres.reading.pages import PAGE
from engine.targets.postgres.reading.relations import Index, Table
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
