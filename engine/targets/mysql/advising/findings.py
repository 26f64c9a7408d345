"""Findings: what each table needs, and why. Pure functions of a condition."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Final

from engine.domain.advice import Level, TargetHistory
from engine.domain.frozen import frozen
from engine.domain.humanize import listed, size, span
from engine.domain.thresholds import DAY, DEFAULT_THRESHOLDS, Thresholds
from engine.targets.mysql.advising.space import gain
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.reading.condition import Condition
from engine.targets.mysql.reading.files import PartName, part_name
from engine.targets.mysql.reading.tables import IN_OWN_FILES, REPAIRABLE, Part, Table
from engine.targets.needs import Need

CHANGED_SHARE: Final = 0.2
"""Share of the rows. InnoDB renews its own statistics from half of that on, unless that is off."""
LEAST_ROWS: Final = 1_000
"""Changes of fewer rows do not count."""
GROWTH: Final = 2.0
"""From this factor on, histograms describe another table; the number of rows is an estimate."""
OLDEST_HISTOGRAM: Final = 7 * DAY
NEAR_ITS_END: Final = 80
"""Percent of its values that an AUTO_INCREMENT column has used when advice mentions it."""
AT_ITS_END: Final = 95
"""Percent of its values that an AUTO_INCREMENT column has used when inserts will soon fail."""
LONG_HISTORY: Final = 1_000_000
"""Transactions that are not purged; every read has to pass by them."""
_OLD_ENGINES: Final = {
    "MyISAM": "which a crash of the server may damage",
    "MRG_MyISAM": "made of tables of MyISAM",
    "TokuDB": "which is no longer maintained",
    "ARCHIVE": "which a crash of the server may damage",
}
_OLD_FORMATS: Final = frozenset({"Redundant", "Compact"})

CHANGES_ARE_LOCKED: Final = "how many rows changed is unknown: another session has locked a table of the server"


class Cause(StrEnum):
    """The causes of a need."""

    NO_STATISTICS = "no_statistics"
    CHANGED_ROWS = "changed_rows"
    OLD_HISTOGRAMS = "old_histograms"
    RECLAIMABLE = "reclaimable"
    AUTO_INCREMENT = "auto_increment"
    CRASHED = "crashed"
    LONG_HISTORY = "long_history"
    LARGE_UNDO = "large_undo"
    INTERRUPTED_PURGE = "interrupted_purge"
    DAMAGE = "damage"
    BROKEN_RULE = "broken_rule"


@frozen(kw_only=True)
class TableFindings:
    """Needs by name of the table."""

    analyze: Mapping[str, Need]
    rebuild: Mapping[str, Need]
    by_hand: Mapping[str, Need]
    """Tables that only ALTER TABLE by hand puts right."""
    repair: Mapping[str, Need]
    unmeasurable: Sequence[str] = ()
    """Large tables, as shown, of which only a rebuild tells what it gives back."""
    notes: Sequence[str] = ()
    """Not urgent: tables without a primary key, old engines and row formats."""


def needs(condition: Condition, past: TargetHistory, limits: Thresholds = DEFAULT_THRESHOLDS) -> TableFindings:
    """Damaged tables need nothing but a repair: reading or writing them can make the damage worse."""
    damaged = set(past.damaged_tables)
    well = [table for table in condition.tables if not table.comment and table.shown not in past.unread_tables]
    analyze = {table.name: need for table in well if (need := analyze_need(table, condition, limits))}
    free = [table for table in well if table.shown not in past.kept_tables]
    rebuild = {table.name: need for table in free if (need := rebuild_need(table, condition, past, limits))}
    by_hand = {table.name: need for table in well if (need := auto_increment_need(table))}
    recovers = condition.server.recovers
    repair = {table.name: need for table in condition.tables if (need := repair_need(table, damaged, recovers))}
    return TableFindings(
        analyze=analyze,
        rebuild=rebuild,
        by_hand=by_hand,
        repair=repair,
        unmeasurable=[table.shown for table in well if _is_large_unmeasurable(table, past, limits)],
        notes=_notes(well),
    )


def locked_text(condition: Condition) -> str:
    """Which tables nothing is known of; "" for none."""
    locked = condition.locked
    return f"locked by another session, not looked at: {listed(locked, 3)}" if locked else ""


def analyze_need(table: Table, condition: Condition, limits: Thresholds) -> Need | None:
    if table.is_sequence or not table.rows:
        return None
    if table.engine != "InnoDB":
        counted = all(index.has_cardinality for index in table.indexes if index.is_tree)
        return None if counted else Need(Level.SOON, "it has no statistics", Cause.NO_STATISTICS, bytes=table.size)
    names = _names(table, condition.server)
    is_kept = condition.counted is not None and "stats_persistent=0" not in table.options.lower()
    missing = [name for name in names if is_kept and name not in (condition.counted or ())]
    if missing:
        what = f"no statistics of {_parts(missing)}" if table.partitions else "it has no statistics"
        return Need(Level.SOON, what, Cause.NO_STATISTICS, bytes=table.size)
    changed = sum((condition.changes or {}).get(name, 0) for name in names)
    limit = CHANGED_SHARE * table.rows + LEAST_ROWS
    if changed > limit:
        level = Level.NOW if changed > limits.dead_rows_now * limit else Level.SOON
        reason = f"{changed:,} rows changed since its statistics were collected (threshold {limit:,.0f})"
        return Need(level, reason, Cause.CHANGED_ROWS, bytes=table.size)
    return _histogram_need(table, condition)


def _histogram_need(table: Table, condition: Condition) -> Need | None:
    found = condition.histograms.get(table.name)
    if found is None:
        return None
    least, most = sorted((found.rows if found.rows is not None else table.rows, table.rows))
    if most > GROWTH * least + LEAST_ROWS:
        reason = f"its histograms are of {found.rows:,} rows; it has about {table.rows:,} now"
        return Need(Level.SOON, reason, Cause.OLD_HISTOGRAMS, bytes=table.size)
    if found.age is not None and found.age > OLDEST_HISTOGRAM and found.changed_since:
        reason = f"its histograms are {span(found.age)} old, and it changed since"
        return Need(Level.SOON, reason, Cause.OLD_HISTOGRAMS, bytes=table.size)
    return None


def rebuild_need(table: Table, condition: Condition, past: TargetHistory, limits: Thresholds) -> Need | None:
    gains = {part.name: _gain(part, table, condition) for part in table.parts}
    wasted, now = sum(gains.values()), sum(part.allocated_bytes for part in table.parts)
    share = wasted / now if now else 0.0
    if wasted < limits.reclaim_soon or share < limits.reclaim_soon_share:
        return None
    if past.has_size_of_rebuild(table.shown, table.size, table.rows):
        return None
    is_urgent = wasted >= limits.reclaim_now and share >= limits.reclaim_now_share
    sparse = [(table.name, name) for name, bytes_ in gains.items() if bytes_]
    where = f" in {_parts(sparse)}" if table.partitions else ""
    reason = f"about {share:.0%} of its {size(now)} is free space{where}"
    obstacle = _obstacle_to_rebuild(table, condition.server)
    level = Level.NOW if is_urgent else Level.SOON
    return Need(level, reason, Cause.RECLAIMABLE, wasted, bytes=now, obstacle=obstacle)


def _obstacle_to_rebuild(table: Table, server: Server) -> str:
    if server.requires_primary_key and not table.has_primary_key:
        return "the server rebuilds no table without a primary key (sql_require_primary_key): add one"
    if table.must_be_offline:
        by_name = f"rebuild --offline --object {table.shown}"
        return f"{table.must_be_offline} keeps it from being rebuilt online: {by_name}"
    in_cluster = (
        "every node of its cluster would repeat a rebuild: --no-binlog does it on this one alone, --force on all"
    )
    return in_cluster if server.cluster is not None else ""


def may_have_space(table: Table, limits: Thresholds) -> bool:
    """Whether sampling its rows is worth it."""
    has_pages = (table.engine == "InnoDB" and not table.is_unmeasurable) or table.is_in_aria_pages
    return has_pages and not table.is_sequence and _is_large(table, limits)


def _is_large_unmeasurable(table: Table, past: TargetHistory, limits: Thresholds) -> bool:
    is_rebuilt = past.has_size_of_rebuild(table.shown, table.size, table.rows)
    return table.is_unmeasurable and _is_large(table, limits) and not is_rebuilt


def _is_large(table: Table, limits: Thresholds) -> bool:
    return sum(part.allocated_bytes for part in table.parts) >= limits.reclaim_soon


def auto_increment_need(table: Table) -> Need | None:
    found = table.auto_increment
    used = used_percent(table)
    if found is None or used < NEAR_ITS_END:
        return None
    level = Level.NOW if used >= AT_ITS_END else Level.SOON
    reason = f"{found.column} has used {used}% of the values of its type; then inserts fail: MODIFY it to BIGINT"
    return Need(level, reason, Cause.AUTO_INCREMENT)


def used_percent(table: Table) -> int:
    """Full percents of the values of its AUTO_INCREMENT column that are used."""
    found = table.auto_increment
    return min(100 * (found.next - 1) // found.most, 100) if found is not None else 0


def repair_need(table: Table, damaged: set[str], recovers: Collection[str]) -> Need | None:
    """`recovers`: the storage engines whose crashed tables the server repairs when it opens them."""
    if table.engine in REPAIRABLE and table.comment:
        return Need(Level.NOW, f"the server cannot open it: {table.comment}", Cause.CRASHED)
    if table.shown in damaged and table.engine in REPAIRABLE:
        by_itself = "; the server repairs it when it is opened, maybe it has" if table.engine in recovers else ""
        return Need(Level.NOW, f"it is on record as damaged{by_itself}", Cause.CRASHED)
    return None


def _gain(part: Part, table: Table, condition: Condition) -> int:
    if table.engine != "InnoDB" and not table.is_in_aria_pages:
        return part.free_bytes if table.engine in IN_OWN_FILES else 0
    is_in_shared_file = condition.sees_files and part.file_bytes is None  # which never shrinks
    if table.name not in condition.samples or is_in_shared_file:
        return 0
    return gain(part, table, condition.samples[table.name], condition.server.flavor)


def _notes(tables: Sequence[Table]) -> list[str]:
    found = []
    own = [table for table in tables if table.engine == "InnoDB" and not table.is_sequence]
    if keyless := [table.shown for table in own if not table.primary_key]:
        found.append(f"tables without a primary key, which replication needs: {listed(keyless, 3)}")
    for engine, why in _OLD_ENGINES.items():
        if names := [table.shown for table in tables if table.engine == engine]:
            found.append(f"tables of {engine}, {why}: {listed(names, 3)}")
    if names := [table.shown for table in own if table.row_format in _OLD_FORMATS]:
        found.append(f"tables of an old row format, which DYNAMIC replaces: {listed(names, 3)}")
    return found


def _names(table: Table, server: Server) -> list[PartName]:
    return [part_name(server, table.name, part.name) for part in table.parts]


def _parts(names: Sequence[tuple[str, str]]) -> str:
    several = "partitions" if len(names) > 1 else "partition"
    return f"{several} {listed([part for _, part in names], 3)}"
