"""Decides what each table and index needs, and why. Pure functions of a condition; `advice.py` puts it into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from typing import Final

from engine.domain.advice import Level, OldIds, TargetHistory
from engine.domain.frozen import frozen
from engine.domain.humanize import listed, size
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.targets.needs import Need
from engine.targets.postgres.reading.ages import DANGER, Counter, as_text, is_old
from engine.targets.postgres.reading.collations import CollationRebuild, collation_rebuild
from engine.targets.postgres.reading.condition import Activity, Bloat, Condition, Unread
from engine.targets.postgres.reading.index_upkeep import IndexUpkeep
from engine.targets.postgres.reading.pages import PAGE
from engine.targets.postgres.reading.relations import Index, Table
from engine.targets.postgres.reading.shapes import LEAST_PAGES
from engine.targets.postgres.reading.xmin_horizon import XminHorizon

PARTIAL_SHARE: Final = 0.75
"""The share for an estimate of a partial index: its keys may be longer than those of its table are on average."""


class Cause(StrEnum):
    """The causes of a need."""

    XID_AGE = OldIds.XID.value
    MULTIXACT_AGE = OldIds.MULTIXACT.value
    DEAD_ROWS = "dead_rows"
    INSERTED_ROWS = "inserted_rows"
    NO_STATISTICS = "no_statistics"
    PARTITIONED_WITHOUT_STATISTICS = "partitioned_without_statistics"
    CHANGED_ROWS = "changed_rows"
    LOST_COUNT = "lost_count"
    DAMAGED_INDEX = "damaged_index"
    COLLATION_VERSION = "collation_version"
    UNRECORDED_COLLATION_VERSION = "unrecorded_collation_version"
    """All indexes of the collation are rebuilt."""
    INVALID_INDEX = "invalid_index"
    INDEX_BLOAT = "index_bloat"
    PENDING_LIST = "pending_list"
    UNCOVERED_PAGES = "uncovered_pages"
    INDEX_NOT_BUILT = "index_not_built"
    LEFTOVER = "leftover"
    DAMAGE = "damage"


@frozen
class Waste:
    """Dead space in a table and its TOAST table."""

    reason: str
    bytes: int
    size: int
    """Bytes of the table and its TOAST table."""


class Unknown(StrEnum):
    """Why the bloat of an index is not known."""

    NO_STATISTICS = "no_statistics"
    FORBIDDEN = Unread.FORBIDDEN.value
    """Only its pages tell, and this role may not read them."""
    NOT_WRITTEN = Unread.NOT_WRITTEN.value
    UNLOGGED = Unread.UNLOGGED.value
    NO_TIME = Unread.NO_TIME.value
    NOT_COUNTED = "not_counted"
    """Its number of rows is unknown."""
    CORRELATED = "correlated"
    """The bloat depends on whether some columns decide the others, which statistics do not say."""
    NO_ESTIMATE = "no_estimate"
    """There is no estimate for indexes of this kind."""


@frozen(kw_only=True)
class TableFindings:
    """Needs by oid of table or index."""

    vacuum: Mapping[int, Need] = field(default_factory=dict)
    analyze: Mapping[int, Need] = field(default_factory=dict)
    reindex: Mapping[int, Need] = field(default_factory=dict)
    tend: Mapping[int, Need] = field(default_factory=dict)
    """What VACUUM would do to an index, and can be done to it alone; not where its table is vacuumed anyway."""
    rewrite: Mapping[int, Waste] = field(default_factory=dict)
    """Only a DBA decides about a rewrite: it blocks all access."""
    can_repack: bool = False
    """Whether REPACK can do it while the tables are in use."""
    drifts: Sequence[CollationRebuild] = ()
    not_built: tuple[Index, ...] = ()
    """Unique indexes that could not be built, because of duplicates."""
    leftovers: tuple[Index, ...] = ()
    left_by_pg_repack: tuple[Table, ...] = ()
    """Tables where an interrupted pg_repack left something."""
    unknown: Mapping[Unknown, Sequence[Index]] = field(default_factory=dict)
    """Large indexes whose bloat is not known."""
    damaged: tuple[str, ...] = ()
    """Damaged tables, which every operation leaves out."""


NOTHING_KNOWN: Final = TargetHistory(now=0)


def needs(
    condition: Condition, past: TargetHistory = NOTHING_KNOWN, limits: Thresholds = DEFAULT_THRESHOLDS
) -> TableFindings:
    """Find the needs. Damaged tables need nothing: reading or writing them can make the damage worse."""
    known = {table.oid: table for table in condition.tables if table.shown not in past.unread_tables}
    rewritable = known.keys() - {table.oid for table in condition.tables if table.shown in past.kept_tables}
    vacuum, analyze = {}, {}
    for activity in condition.activity:
        table = known.get(activity.oid)
        if table is None or (table.in_catalog and not table.may_be_maintained):
            continue
        if not table.is_partitioned and (need := vacuum_need(activity, limits)):
            vacuum[table.oid] = replace(
                need, obstacle=_horizon_obstacle(need, activity, table, condition.horizon, past)
            )
        if not table.in_catalog and (need := analyze_need(activity, table.kind, limits)):
            analyze[table.oid] = need
    drifts = [collation_rebuild(drift, condition.indexes, past) for drift in condition.drifts]
    return TableFindings(
        vacuum=vacuum,
        analyze=analyze,
        reindex=_reindex(condition, drifts, past, limits),
        tend=_tend(
            [one for one in condition.upkeep if one.table in known and one.table not in vacuum], condition, past, limits
        ),
        rewrite={oid: waste for oid, waste in _rewrite(condition, limits).items() if oid in rewritable},
        drifts=drifts,
        not_built=tuple(index for index in condition.indexes if index.could_not_be_built and not index.in_catalog),
        left_by_pg_repack=tuple(table for table in condition.tables if table.oid in condition.left_by_pg_repack),
        leftovers=tuple(index for index in condition.indexes if index.is_leftover and not index.is_valid),
        unknown=_unknown(condition, past, limits),
        damaged=tuple(table.shown for table in condition.tables if table.shown in past.damaged_tables),
    )


def may_need_something(table: Activity, limits: Thresholds) -> bool:
    """Whether VACUUM or ANALYZE may be needed, whatever the kind of table."""
    return any((vacuum_need(table, limits), analyze_need(table, "r", limits), analyze_need(table, "p", limits)))


def is_not_kept_up(table: Activity) -> bool:
    """Whether autovacuum should have vacuumed it long ago."""
    return (need := vacuum_need(table)) is not None and is_overdue(need)


def is_overdue(need: Need) -> bool:
    """Whether autovacuum should have done it long ago."""
    return need.level is Level.NOW and need.cause in {Cause.XID_AGE, Cause.MULTIXACT_AGE, Cause.DEAD_ROWS}


def vacuum_need(table: Activity, limits: Thresholds = DEFAULT_THRESHOLDS) -> Need | None:
    """The most urgent need, or None. The dead rows of a small table are less urgent than its age."""
    by_age = (
        age_need(Cause.XID_AGE, table.xid_age, table.xid_limit, limits),
        age_need(Cause.MULTIXACT_AGE, table.multixact_age, table.multixact_limit, limits),
    )
    by_rows = _rows_need(table, limits)
    if any(by_age) and _bytes(table) < limits.small:
        by_rows = None
    found = [need for need in (*by_age, by_rows) if need]
    return min(found, key=lambda need: list(Level).index(need.level), default=None)


def _rows_need(table: Activity, limits: Thresholds) -> Need | None:
    if table.dead > table.dead_limit:
        level = Level.NOW if table.dead > limits.dead_rows_now * table.dead_limit else Level.SOON
        off = "" if table.has_autovacuum else ", and autovacuum is off for it"
        reason = f"{table.dead:,} dead rows (threshold {table.dead_limit:,.0f}){off}"
        return Need(level, reason, Cause.DEAD_ROWS, bytes=_bytes(table))
    if table.inserted > table.inserted_limit:
        reason = f"{table.inserted:,} rows inserted since (threshold {table.inserted_limit:,.0f})"
        return Need(Level.SOON, reason, Cause.INSERTED_ROWS, bytes=_bytes(table))
    return None


def _bytes(table: Activity) -> int:
    return max(table.pages, 0) * PAGE


_AGES: Final = {Cause.XID_AGE: Counter.XID, Cause.MULTIXACT_AGE: Counter.MULTIXACT}


def age_need(cause: Cause, age: int, limit: int, limits: Thresholds) -> Need | None:
    if not is_old(age, limit):
        return None
    level = Level.NOW if age > limits.age_now * limit or age > DANGER else Level.SOON
    return Need(level, as_text(_AGES[cause], age, limit), cause)


def _horizon_obstacle(need: Need, activity: Activity, table: Table, horizon: XminHorizon, past: TargetHistory) -> str:
    """Which session keeps VACUUM from helping; "" for none."""
    holder = horizon.oldest(of_catalog=table.in_catalog, is_shared=activity.is_shared)
    if holder is None:
        return ""
    since = activity.vacuumed_ago
    was_there = holder.is_old or (since is not None and holder.seconds is not None and holder.seconds >= since)
    match need.cause:
        case Cause.XID_AGE if is_old(holder.age, activity.xid_limit):
            return f"held back by {holder.text}"
        case Cause.MULTIXACT_AGE if was_there:
            return f"may be held back by {holder.text}"
        case Cause.DEAD_ROWS:
            kept = past.dead_rows_kept[table.shown].effect["rows_kept"] if table.shown in past.dead_rows_kept else 0
            if was_there and isinstance(kept, int) and activity.dead - kept <= activity.dead_limit:
                return f"the last VACUUM could not remove {kept:,} of them, held back by {holder.text}"
            return f"dead rows are held back by {holder.text}" if holder.is_old else ""
        case _:
            return ""


def analyze_need(table: Activity, kind: str, limits: Thresholds = DEFAULT_THRESHOLDS) -> Need | None:
    if not table.has_statistics and kind == "p":
        reason = "partitioned, without statistics: autovacuum never collects them"
        return Need(Level.SOON, reason, Cause.PARTITIONED_WITHOUT_STATISTICS)
    if (
        not table.has_statistics
        and kind != "p"
        and (table.rows > 0 or table.modified or (table.pages and table.rows < 0))
    ):
        return Need(Level.NOW, "it has no statistics", Cause.NO_STATISTICS, bytes=_bytes(table))
    if table.modified > table.modified_limit:
        level = Level.NOW if table.modified > limits.dead_rows_now * table.modified_limit else Level.SOON
        reason = f"{table.modified:,} rows changed since (threshold {table.modified_limit:,.0f})"
        return Need(level, reason, Cause.CHANGED_ROWS, bytes=None if kind == "p" else _bytes(table))
    if has_lost_counts(table):
        reason = "the server lost its counters of this table, as after a crash or a failover; ANALYZE counts again"
        return Need(Level.SOON, reason, Cause.LOST_COUNT, bytes=_bytes(table))
    return None


def has_lost_counts(table: Activity) -> bool:
    """Whether the dead rows of a large table are unknown."""
    return table.is_lost and table.pages >= LEAST_PAGES


def dead_rows_unknown(lost: Sequence[str]) -> str:
    """A clause about these tables; "" for none."""
    return f"dead rows of {listed(lost, 3)} are unknown until ANALYZE has counted them" if lost else ""


def _reindex(
    condition: Condition, drifts: Sequence[CollationRebuild], past: TargetHistory, limits: Thresholds
) -> dict[int, Need]:
    kept = past.kept_tables
    by_old_rules = {oid: drifted for drifted in drifts for oid in drifted.left}
    found = {}
    for index in condition.indexes:
        if index.in_catalog or index.is_leftover or index.could_not_be_built:
            continue
        if index.table_shown in kept:
            continue
        need = None
        if index.shown in past.damaged_indexes:
            need = Need(Level.NOW, "the last check found it damaged", Cause.DAMAGED_INDEX)
        elif index.oid in by_old_rules:
            reason = "its collation version has changed: its order may be wrong"
            obstacle = by_old_rules[index.oid].obstacle
            need = Need(Level.NOW, reason, Cause.COLLATION_VERSION, obstacle=obstacle)
        elif not index.is_valid:
            paid = "every write updates it" if index.is_ready else "no write updates it"
            reason = f"it is invalid: no query uses it, and {paid}"
            need = Need(Level.SOON, reason, Cause.INVALID_INDEX, bytes=index.table_pages * PAGE)
        elif (bloat := condition.bloat.get(index.oid)) is not None and not past.has_size_of_rebuild(
            index.shown, bloat.bytes, index.rows
        ):
            need = _bloat_need(bloat, limits)
        if need is not None and index.is_exclusion:
            need = replace(
                need, obstacle=f"an exclusion constraint: only reindex --offline --object {index.shown} rebuilds it"
            )
        if need is not None:
            found[index.oid] = need
    return found


def _tend(
    upkeep: Sequence[IndexUpkeep], condition: Condition, past: TargetHistory, limits: Thresholds
) -> dict[int, Need]:
    names = {index.oid: index.shown for index in condition.indexes}
    found = {}
    for one in upkeep:
        done = past.indexes_tended.get(name) if (name := names.get(one.index)) is not None else None
        if name is None or (done is not None and past.now - done.at < one.file_lag * 1e6):
            continue
        if one.method == "gin" and one.waiting >= limits.pending_list:
            reason = f"{size(one.waiting)} wait in the pending list of {name}: each search reads all of it"
            found[one.index] = Need(Level.SOON, reason, Cause.PENDING_LIST, bytes=one.waiting)
            continue
        covered = done.effect.get("pages_covered") if done is not None else None
        new = min(one.waiting, (one.table_pages - covered) * PAGE) if isinstance(covered, int) else one.waiting
        if one.method == "brin" and new >= limits.uncovered:
            reason = f"about {size(new)} of the table are not summarized in {name}: each search reads all of that"
            found[one.index] = Need(Level.SOON, reason, Cause.UNCOVERED_PAGES, bytes=new)
    return found


def _unknown(condition: Condition, past: TargetHistory, limits: Thresholds) -> Mapping[Unknown, Sequence[Index]]:
    least, found = max(limits.index_bloat, LEAST_PAGES * PAGE), dict[Unknown, list[Index]]()
    for index in condition.indexes:
        if (
            index.method != "brin"
            and index.is_valid
            and not index.in_catalog
            and index.pages * PAGE >= least
            and not past.has_size_of_rebuild(index.shown, index.pages * PAGE, index.rows)
            and (why := _why_unknown(index, condition.bloat.get(index.oid), condition.unread.get(index.oid), limits))
            is not None
        ):
            found.setdefault(why, []).append(index)
    return found


def _why_unknown(index: Index, bloat: Bloat | None, unread: Unread | None, limits: Thresholds) -> Unknown | None:
    if bloat is not None:
        most = replace(bloat, share=bloat.share_at_most)
        is_open = not bloat.is_measured and _bloat_need(bloat, limits) is None and _bloat_need(most, limits) is not None
        return Unknown.CORRELATED if is_open else None
    if not index.is_counted and unread is None:
        return Unknown.NOT_COUNTED
    if index.is_estimated:
        return Unknown.NO_STATISTICS
    if index.method not in {"gin", "gist", "spgist"}:
        return Unknown.NO_ESTIMATE
    return Unknown.NOT_COUNTED if unread is None else Unknown(unread.value)


def _bloat_need(bloat: Bloat, limits: Thresholds) -> Need | None:
    is_guess = bloat.is_partial and not bloat.is_measured
    least = max(limits.index_bloat_share, PARTIAL_SHARE if is_guess else 0.0)
    if bloat.share < least or bloat.wasted < limits.index_bloat:
        return None
    is_urgent = bloat.share >= limits.reclaim_now_share and bloat.wasted >= limits.reclaim_now
    level = Level.NOW if is_urgent else Level.SOON
    return Need(level, _dead_space(bloat, "its"), Cause.INDEX_BLOAT, bloat.wasted, bytes=bloat.bytes)


def _dead_space(bloat: Bloat, whose: str) -> str:
    about = "" if bloat.is_measured else "about "
    is_dead = "will be dead space after VACUUM" if bloat.is_expected else "is dead space"
    return f"{about}{bloat.share:.0%} of {whose} {size(bloat.bytes)} {is_dead}"


def _rewrite(condition: Condition, limits: Thresholds) -> dict[int, Waste]:
    """Tables with much dead space: in themselves, in their TOAST tables, or in both together."""
    found = {}
    for table in condition.tables:
        own, toast = (condition.bloat.get(oid) for oid in (table.oid, condition.toast.get(table.oid, 0)))
        parts = [(bloat, whose) for bloat, whose in ((own, "its"), (toast, "the TOAST table's")) if bloat is not None]
        whole, wasted = (sum(sizes) for sizes in ([one.bytes for one, _ in parts], [one.wasted for one, _ in parts]))
        cases = [*((one.bytes, one.wasted) for one, _ in parts), (whole, wasted)]
        if any(much >= limits.table_bloat and much >= limits.table_bloat_share * of_all for of_all, much in cases):
            texts = [_dead_space(one, whose) for one, whose in parts if one.share >= limits.table_bloat_share]
            found[table.oid] = Waste(", and ".join(texts), wasted, whole)
    return found
