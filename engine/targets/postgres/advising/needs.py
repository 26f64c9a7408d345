"""What each table and index needs, and why: pure functions of a condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from engine.advice import Level, Past
from engine.targets.postgres.advising.bloat import PAGE, table_share, tree_share
from engine.targets.postgres.reading.condition import LEAST_PAGES, Activity, Condition
from engine.targets.postgres.reading.relations import Index
from engine.values import frozen
from engine.words import size

MUCH: Final = 5.0
"""So many times what autovacuum would wait for is urgent."""
XID_SOON: Final = 0.9
XID_NOW: Final = 2.0
"""Of autovacuum_freeze_max_age."""
XID_DANGER: Final = 1_000_000_000
TREE_SHARE: Final = 0.4
TREE_WASTED: Final = 10_000_000
TABLE_SHARE: Final = 0.5
TABLE_WASTED: Final = 100_000_000


@frozen
class Need:
    level: Level
    reason: str
    gain: int = 0
    """Bytes."""
    is_damage: bool = False


@frozen(kw_only=True)
class Needs:
    """By the oid of a table or index."""

    vacuum: Mapping[int, Need] = field(default_factory=dict)
    analyze: Mapping[int, Need] = field(default_factory=dict)
    reindex: Mapping[int, Need] = field(default_factory=dict)
    rewrite: Mapping[int, Need] = field(default_factory=dict)
    """Worth it only if a DBA says so: it locks everybody out."""
    not_built: tuple[Index, ...] = ()
    """Unique ones that are there and could not be built: somebody has to look at what is there twice."""
    leftovers: tuple[Index, ...] = ()
    unknown: tuple[Index, ...] = ()
    """How large they must be cannot be told, and they are large enough for it to matter."""
    damaged: tuple[str, ...] = ()
    """Tables that nothing is done to before somebody has put them right."""


@frozen
class Damage:
    """What a check has found, by names as they are shown."""

    tables: frozenset[str] = frozenset()
    indexes: frozenset[str] = frozenset()

    @classmethod
    def known_of(cls, past: Past | None) -> Damage:
        return cls() if past is None else cls(frozenset(past.damaged_tables), frozenset(past.damaged_indexes))


NO_DAMAGE: Final = Damage()


def needs(condition: Condition, damage: Damage = NO_DAMAGE) -> Needs:
    """What reads or writes a damaged table can make it worse, or the server crash: it is needed by none."""
    known = {table.oid: table for table in condition.tables if table.shown not in damage.tables}
    vacuum, analyze = {}, {}
    for table in condition.activity:
        if table.oid not in known or (known[table.oid].in_catalog and not known[table.oid].may_be_maintained):
            continue
        if not known[table.oid].is_partitioned and (need := vacuum_need(table)):
            vacuum[table.oid] = need
        if not known[table.oid].in_catalog and (need := analyze_need(table, known[table.oid].kind)):
            analyze[table.oid] = need
    return Needs(
        vacuum=vacuum,
        analyze=analyze,
        reindex=_reindex(condition, damage),
        rewrite={oid: need for oid, need in _rewrite(condition).items() if oid in known},
        not_built=tuple(index for index in condition.indexes if index.could_not_be_built and not index.in_catalog),
        leftovers=tuple(index for index in condition.indexes if index.is_leftover and not index.is_valid),
        unknown=_unknown(condition),
        damaged=tuple(table.shown for table in condition.tables if table.shown in damage.tables),
    )


def may_need_something(table: Activity) -> bool:
    """Whatever kind of table it is."""
    return any((vacuum_need(table), analyze_need(table, "r"), analyze_need(table, "p")))


def vacuum_need(table: Activity) -> Need | None:
    """What is most urgent comes first."""
    if need := _age(table.xid_age, table.xid_limit, "transaction ids", "autovacuum_freeze_max_age"):
        return need
    limit = "autovacuum_multixact_freeze_max_age"
    if need := _age(table.multixact_age, table.multixact_limit, "multixacts", limit):
        return need
    if table.dead > table.dead_limit:
        level = Level.NOW if table.dead > MUCH * table.dead_limit else Level.SOON
        off = "" if table.has_autovacuum else ", and autovacuum is off for it"
        return Need(level, f"{table.dead:,} dead rows, {table.dead_limit:,.0f} are usual{off}")
    if table.inserted > table.inserted_limit:
        return Need(Level.SOON, f"{table.inserted:,} rows inserted since, {table.inserted_limit:,.0f} are usual")
    return None


def _age(age: int, limit: int, what: str, setting: str) -> Need | None:
    if age < XID_SOON * limit:
        return None
    level = Level.NOW if age > XID_NOW * limit or age > XID_DANGER else Level.SOON
    return Need(level, f"its oldest {what} are {age:,} old, {age / limit:.0%} of {setting}")


def analyze_need(table: Activity, kind: str) -> Need | None:
    if not table.has_statistics and kind == "p":
        return Need(Level.SOON, "partitioned, without statistics: autovacuum never collects them")
    if (
        not table.has_statistics
        and kind != "p"
        and (table.rows > 0 or table.modified or (table.pages and table.rows < 0))
    ):
        return Need(Level.NOW, "it has no statistics")
    if table.modified > table.modified_limit:
        level = Level.NOW if table.modified > MUCH * table.modified_limit else Level.SOON
        return Need(level, f"{table.modified:,} rows changed since, {table.modified_limit:,.0f} are usual")
    if is_in_doubt(table):
        return Need(Level.SOON, "the server has lost count of it, as in a crash or a failover: this counts anew")
    return None


def is_in_doubt(table: Activity) -> bool:
    """Whether nobody knows how many of its rows are dead, and it is large enough for that to matter."""
    return table.is_lost and table.pages >= LEAST_PAGES


def _reindex(condition: Condition, damage: Damage) -> dict[int, Need]:
    shapes = {tree.oid: tree for tree in condition.tree_shapes}
    found = {}
    for index in condition.indexes:
        if index.in_catalog or index.is_leftover or index.could_not_be_built or index.table_shown in damage.tables:
            continue
        need = None
        if index.shown in damage.indexes:
            need = Need(Level.NOW, "the last check found it damaged", is_damage=True)
        elif index.oid in condition.drifted:
            need = Need(Level.NOW, "its collation has another version now: its order may be wrong")
        elif not index.is_valid:
            paid = "every write pays for it" if index.is_ready else "no write maintains it"
            need = Need(Level.SOON, f"it is invalid: no query uses it, and {paid}")
        elif (tree := shapes.get(index.oid)) is not None:
            need = _tree_need(tree_share(tree), tree.pages, condition.density.get(index.oid), tree.fill_factor)
        if need is not None:
            found[index.oid] = need
    return found


def _unknown(condition: Condition) -> tuple[Index, ...]:
    unknown = {
        tree.oid
        for tree in condition.tree_shapes
        if not tree.is_known and tree.oid not in condition.density and tree.pages * PAGE >= TREE_WASTED
    }
    return tuple(index for index in condition.indexes if index.oid in unknown and not index.in_catalog)


def _tree_need(estimate: float | None, pages: int, density: float | None, fill_factor: float) -> Need | None:
    """By what was measured, where it was: the density of the leaf pages in percent."""
    share = estimate if density is None else max(1 - density / (100 * fill_factor), 0.0)
    if share is None or share < TREE_SHARE or share * pages * PAGE < TREE_WASTED:
        return None
    wasted = round(share * pages * PAGE)
    about = "about " if density is None else ""
    return Need(Level.SOON, f"{about}{share:.0%} of its {size(pages * PAGE)} is dead space", wasted)


def _rewrite(condition: Condition) -> dict[int, Need]:
    found = {}
    for table in condition.table_shapes:
        measured = condition.free_share.get(table.oid)
        share = table_share(table) if measured is None else measured
        wasted = round(share * table.pages * PAGE)
        if share >= TABLE_SHARE and wasted >= TABLE_WASTED:
            about = "about " if measured is None else ""
            reason = f"{about}{share:.0%} of its {size(table.pages * PAGE)} is dead space"
            found[table.oid] = Need(Level.NONE, reason, wasted)
    return found
