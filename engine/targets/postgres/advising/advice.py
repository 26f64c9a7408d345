"""What a database needs, in a line for each operation: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Final

from engine.domain.advice import (
    CRITICAL,
    Advice,
    ByHand,
    DeadSpace,
    Level,
    OldIds,
    TargetHistory,
    is_near_wraparound,
)
from engine.domain.damage import suspicion
from engine.domain.humanize import by_reason, counted, listed, size
from engine.domain.requests import Operation
from engine.domain.steps import Facts
from engine.domain.thresholds import DAY, DEFAULT_THRESHOLDS, Thresholds
from engine.targets.check_policy import DueCheck, damage_advice, due_check, due_of_others, found_in
from engine.targets.needs import Need, advice_on, in_order, most_urgent, optimize, without_damaged
from engine.targets.postgres.advising import old_neighbors
from engine.targets.postgres.advising.autovacuum import behind, lasts, own_plan, seconds_left
from engine.targets.postgres.advising.findings import (
    Cause,
    TableFindings,
    Unknown,
    dead_rows_unknown,
    has_lost_counts,
    is_overdue,
)
from engine.targets.postgres.connection.names import shown
from engine.targets.postgres.reading.collations import CollationRebuild
from engine.targets.postgres.reading.condition import Condition
from engine.targets.postgres.reading.needless_indexes import Duplicate, NeedlessIndexes, UnusedIndex
from engine.targets.postgres.reading.repack_client import left_by_pg_repack

COVERED: Final = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.CLEAN_LEFTOVERS)
"""The operations that optimize covers."""
_ON_PRIMARY: Final = "on its primary: "
COUNTED_FOR: Final = DAY
"""Seconds that a server must have counted for, to tell which indexes are unused."""


def advise(
    condition: Condition, needs: TableFindings, past: TargetHistory, limits: Thresholds = DEFAULT_THRESHOLDS
) -> tuple[Advice, ...]:
    """One advice per operation, in the best order to run them."""
    tables_of = {index.oid: index.table_oid for index in condition.indexes}
    vacuum = {**{tables_of[oid]: need for oid, need in needs.tend.items()}, **needs.vacuum}
    needs = replace(needs, vacuum=vacuum)
    needy = needs.vacuum.keys() | needs.analyze.keys() | needs.reindex.keys() | needs.rewrite.keys()
    names = {table.oid: table.shown for table in condition.tables if table.oid in needy}
    names |= {index.oid: index.shown for index in condition.indexes if index.oid in needy}
    forbidden = {table.oid for table in condition.tables if not table.may_be_maintained}
    forbidden |= {index.oid for index in condition.indexes if not index.may_be_maintained}
    of_tables = (
        _with_servers_view(_vacuum(condition, needs, names, forbidden, limits), condition, needs.vacuum, limits),
        _analyze(condition, needs, names, forbidden, limits),
        _reindex(needs, names, forbidden, limits),
    )
    single = [*(without_damaged(one, needs.damaged) for one in of_tables), _leftovers(condition, needs)]
    found = (*single, _optimize(single, needs), _check(condition, past, needs.damaged, limits))
    advised = in_order((*(_with_causes(one, needs) for one in found), _vacuum_full(needs, names, limits)), past)
    return tuple(map(_for_primary, advised)) if condition.is_standby else advised


def _for_primary(item: Advice) -> Advice:
    """The advice on a standby: all but a check is done on its primary, and is not needed here."""
    if item.operation is Operation.CHECK:
        return item
    by_hand = item.by_hand and replace(item.by_hand, reason=f"{_ON_PRIMARY}{item.by_hand.reason}")
    item = replace(item, by_hand=by_hand, covers=(), objects=())
    if item.level is Level.NONE:
        return replace(item, reason=f"{_ON_PRIMARY}{item.reason}") if item.dead_space else item
    is_unknown = item.level is Level.UNKNOWN
    more: Facts = {"is_known": False} if is_unknown else {"level_on_primary": item.level.value}
    reason = item.reason if is_unknown else f"{_ON_PRIMARY}{item.reason}"
    facts = {**item.facts, **more}
    return replace(item, level=Level.NONE, level_of_large=None, reason=reason, facts=facts, is_for_primary=True)


def _with_causes(item: Advice, needs: TableFindings) -> Advice:
    """Add the causes of urgent advice, for programs."""
    by_operation: dict[Operation, Set[str]] = {
        Operation.VACUUM: {need.cause for need in needs.vacuum.values()},
        Operation.ANALYZE: {need.cause for need in needs.analyze.values()},
        Operation.REINDEX: {need.cause for need in needs.reindex.values()}
        | ({Cause.COLLATION_VERSION} if any(drifted.left for drifted in needs.drifts) else set())
        | ({Cause.INDEX_NOT_BUILT} if needs.not_built else set()),
        Operation.CLEAN_LEFTOVERS: {Cause.LEFTOVER} if needs.leftovers or needs.left_by_pg_repack else set(),
        Operation.OPTIMIZE: {Cause.UNRECORDED_COLLATION_VERSION} if _recorded(needs) else set(),
        Operation.CHECK: {item.cause},
    }
    causes = by_operation.get(item.operation, set())
    return replace(item, facts={**item.facts, "causes": tuple(sorted(causes))}) if causes and item.is_urgent else item


def _vacuum(
    condition: Condition, needs: TableFindings, names: Mapping[int, str], forbidden: Set[int], limits: Thresholds
) -> Advice:
    oldest = max((table.xid_age for table in condition.activity), default=0)
    oldest_multixact = max((table.multixact_age for table in condition.activity), default=0)
    facts: dict[str, int] = {
        "tables": len(needs.vacuum),
        "dead_rows": sum(table.dead for table in condition.activity),
        OldIds.XID.fact: max(oldest, condition.xid_age),
        OldIds.MULTIXACT.fact: max(oldest_multixact, condition.multixact_age),
    }
    in_doubt = condition.counts_nothing or _in_doubt(condition, needs, names)
    if in_doubt and not needs.vacuum:
        return _unknown(Operation.VACUUM, in_doubt, facts)
    reason = (
        _reason(needs.vacuum, names, "table", forbidden)
        or f"no table is over its threshold of dead rows{_counted_since(condition)}"
    )
    if in_doubt:
        reason += f"; {in_doubt}"
    return _advice(Operation.VACUUM, needs.vacuum, reason, facts, names, forbidden, limits)


def _with_servers_view(item: Advice, condition: Condition, needs: Mapping[int, Need], limits: Thresholds) -> Advice:
    """Add why autovacuum has not done it, for how long the transaction ids last, and whether that is critical."""
    state, facts, texts = condition.autovacuum, dict(item.facts), [item.reason]
    causes = {need.cause for need in needs.values()}
    if any(is_overdue(need) for need in needs.values()) and not condition.is_standby:
        reasons = behind(state, condition.horizon)
        texts += [*reasons.values(), *([own_plan(state.waiting)] if state.waiting is not None else [])]
        facts["autovacuum_behind"] = tuple(reasons)
    age = facts[OldIds.XID.fact]
    left = seconds_left(age, state.ids_per_second) if isinstance(age, int) else None
    if Cause.XID_AGE in causes and left is not None and state.ids_per_second is not None:
        texts.append(lasts(left, state.ids_per_second))
        facts |= {"xids_per_second": round(state.ids_per_second, 1), "days_left": round(left / DAY, 1)}
    if any(is_near_wraparound(ids, facts, limits) for ids in OldIds):
        facts["severity"] = CRITICAL
    if condition.old_neighbors:
        facts["old_neighbors"] = tuple(condition.old_neighbors)
    return replace(item, reason="; ".join(texts), facts=facts, by_hand=old_neighbors.by_hand(condition.old_neighbors))


def _in_doubt(condition: Condition, needs: TableFindings, names: Mapping[int, str]) -> str:
    lost = [names[table.oid] for table in condition.activity if has_lost_counts(table) and table.oid in needs.analyze]
    return dead_rows_unknown(lost)


def _unknown(operation: Operation, why: str, facts: Facts) -> Advice:
    return Advice(operation=operation, level=Level.UNKNOWN, reason=why, facts=facts, inspection_can_tell=False)


def _counted_since(condition: Condition) -> str:
    """Since when the server has counted, if the counters were reset lately."""
    since = condition.counters_reset_at
    return f", as far as the server has counted since {since:%Y-%m-%d %H:%M}" if since is not None else ""


def _analyze(
    condition: Condition, needs: TableFindings, names: Mapping[int, str], forbidden: Set[int], limits: Thresholds
) -> Advice:
    facts = {"tables": len(needs.analyze)}
    if condition.counts_nothing and not needs.analyze:
        return _unknown(Operation.ANALYZE, condition.counts_nothing, facts)
    nothing = f"no table is over its threshold of changed rows{_counted_since(condition)}"
    reason = _reason(needs.analyze, names, "table", forbidden) or nothing
    if condition.counts_nothing:
        reason += f"; {condition.counts_nothing}"
    return _advice(Operation.ANALYZE, needs.analyze, reason, facts, names, forbidden, limits)


def _reindex(needs: TableFindings, names: Mapping[int, str], forbidden: Set[int], limits: Thresholds) -> Advice:
    wasted = sum(need.gain for need in needs.reindex.values())
    reason = "; ".join(filter(None, (_reason(needs.reindex, names, "index", forbidden), _not_built(needs))))
    facts: dict[str, int | str] = {"indexes": len(needs.reindex), "wasted_bytes": wasted}
    if any(need.cause is Cause.DAMAGED_INDEX for need in needs.reindex.values()):
        facts["severity"] = CRITICAL
    found = _advice(Operation.REINDEX, needs.reindex, reason, facts, names, forbidden, limits, gain=wasted)
    bloated = [DeadSpace(names[oid], need.gain, need.bytes or 0) for oid, need in needs.reindex.items() if need.gain]
    found = replace(found, dead_space=_largest(bloated))
    unknown = _bloat_unknown(needs)
    needs_manual_fix = [obstacle for drifted in needs.drifts if (obstacle := _manual_rebuild(drifted, needs))]
    if needs.reindex:
        if unknown and found.gain:
            found = replace(found, gain=f"{found.gain}, not counting the unknown")
        return _with_obstacles(replace(found, reason="; ".join([found.reason, *unknown])), needs_manual_fix)
    if needs_manual_fix:
        found = _with_obstacles(replace(found, reason=""), needs_manual_fix)
        return replace(found, level=Level.SOON, needs_manual_fix=True)
    if needs.not_built:
        objects = tuple(index.shown for index in needs.not_built)
        return replace(found, level=Level.SOON, needs_manual_fix=True, objects=objects)
    if not needs.unknown.keys().isdisjoint({Unknown.NO_STATISTICS, Unknown.NOT_COUNTED}):
        can_tell = Unknown.NO_STATISTICS in needs.unknown
        return replace(found, level=Level.UNKNOWN, reason="; ".join(unknown), inspection_can_tell=can_tell)
    return replace(found, reason="; ".join(["no index is invalid, outdated or known to be bloated", *unknown]))


_WHY_UNKNOWN: Final = {
    Unknown.NO_STATISTICS: "there are no statistics, which ANALYZE collects, or this role may not read them",
    Unknown.FORBIDDEN: "this role may not look at its pages. GRANT EXECUTE ON FUNCTION"
    " pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) lets it, and read each file of the server",
    Unknown.NOT_WRITTEN: "its pages cannot be read yet. A checkpoint writes those of a new index to disk",
    Unknown.UNLOGGED: "it is unlogged, so that its pages may be on disk only once the server has stopped",
    Unknown.NO_TIME: "there was no time to look at its pages",
    Unknown.NOT_COUNTED: "the rows of the table are not counted. ANALYZE counts them",
    Unknown.CORRELATED: "columns may depend on each other. Who may look at its pages knows, --thorough measures",
    Unknown.NO_ESTIMATE: "there is no estimate for its kind",
}


def _bloat_unknown(needs: TableFindings) -> list[str]:
    """A sentence for each reason, with the indexes whose bloat is unknown."""
    names = {why: [index.shown for index in indexes] for why, indexes in needs.unknown.items()}
    return [
        f"the bloat of {listed(names[why], 3)} is unknown: {text}" for why, text in _WHY_UNKNOWN.items() if why in names
    ]


def _manual_rebuild(drifted: CollationRebuild, needs: TableFindings) -> str:
    """What must be rebuilt by hand for a collation; "" for nothing."""
    left = [name for oid, name in drifted.left.items() if oid not in needs.reindex]
    if left:
        drift = drifted.drift
        return f"{listed(left, 3)}: rebuild by hand for {drift.text}, then {drift.command};"
    return drifted.obstacle if drifted.is_to_be_recorded else ""


def _with_obstacles(item: Advice, obstacles: Sequence[str]) -> Advice:
    reason = "; ".join(filter(None, (item.reason, *obstacles)))
    return replace(item, reason=reason, obstacles=(*item.obstacles, *obstacles))


def _not_built(needs: TableFindings) -> str:
    if not needs.not_built:
        return ""
    first, *others = needs.not_built
    what_to_do = "left by a CREATE INDEX that failed: drop it, or remove any duplicates, then REINDEX it"
    more = f"; {counted(len(others), 'index')} more like it" if others else ""
    return f"{first.shown}: {what_to_do}{more}"


def _leftovers(condition: Condition, needs: TableFindings) -> Advice:
    left = [index.shown for index in needs.leftovers]
    repacked = [table.shown for table in needs.left_by_pg_repack]
    not_ours = [index.shown for index in needs.leftovers if not index.may_be_maintained]
    obstacles = [f"this role may not drop {listed(not_ours, 3)}"] if not_ours else []
    texts = [left_by_pg_repack(repacked)] if repacked else []
    texts += [f"left over from REINDEX CONCURRENTLY: {listed(left, 3)}"] if left else []
    needless, unused = condition.needless, _long_unused(condition)
    all_needless: list[Duplicate | UnusedIndex] = [*needless.duplicates, *needless.prefixes, *unused]
    bytes_of = {(one.schema, one.name): one.bytes for one in all_needless}
    texts += obstacles
    return Advice(
        operation=Operation.CLEAN_LEFTOVERS,
        level=Level.NOW if repacked else Level.SOON if left else Level.NONE,
        reason="; ".join(texts) or "no leftover index",
        facts={
            "leftovers": len(left) + len(repacked),
            "duplicate_indexes": len(needless.duplicates),
            "prefix_indexes": len(needless.prefixes),
            "unused_indexes": len(unused),
            "needless_indexes": len(bytes_of),
            "needless_bytes": sum(bytes_of.values()),
        },
        objects=(*repacked, *left),
        obstacles=tuple(obstacles),
        by_hand=old_neighbors.with_invalid(_needless_indexes(needless, unused), condition.invalid_databases),
    )


def _long_unused(condition: Condition) -> list[UnusedIndex]:
    return [one for one in condition.needless.unused if one.counted_for >= COUNTED_FOR]


def _needless_indexes(needless: NeedlessIndexes, unused: Sequence[UnusedIndex]) -> ByHand | None:
    """Indexes that a DBA may drop, which no operation does."""
    duplicates = [f"{one.name} duplicates {one.same_as} ({size(one.bytes)})" for one in needless.duplicates]
    prefixes = [f"{one.name} of {one.same_as} ({size(one.bytes)})" for one in needless.prefixes]
    names = [f"{shown(one.schema, one.name)} ({size(one.bytes)})" for one in unused]
    texts = [f"drop the duplicates that you do not need: {listed(duplicates, 3)}"] if duplicates else []
    texts += [f"the first keys of a larger index, so perhaps needless: {listed(prefixes, 3)}"] if prefixes else []
    texts += [f"no query on this server has used since {unused[0].since:%Y-%m-%d}: {listed(names, 3)}"] if names else []
    return ByHand(level=Level.NONE, reason="; ".join(texts)) if texts else None


def _optimize(single: Sequence[Advice], needs: TableFindings) -> Advice:
    recorded = _recorded(needs)
    also = [f"the version of {listed(recorded, 3)} recorded"] if recorded else []
    obstacles = tuple(obstacle for one in single for obstacle in one.obstacles)
    return replace(optimize(single, COVERED, also), obstacles=obstacles)


def _recorded(needs: TableFindings) -> list[str]:
    """Collations whose indexes are all rebuilt, and whose version the role may record."""
    return [one.drift.text for one in needs.drifts if one.is_to_be_recorded and not one.obstacle]


def _check(condition: Condition, past: TargetHistory, damaged: Sequence[str], limits: Thresholds) -> Advice:
    catalog = [index.shown for index in condition.indexes if index.in_catalog and index.shown in past.damaged_indexes]
    if damaged or catalog or (past.damage is not None and not past.damaged_tables):
        # Critical until the damage is repaired.
        texts = [_about_damage(damaged, past)] if damaged or not catalog else []
        texts += [f"{name} is damaged: as a superuser, REINDEX INDEX {name};" for name in catalog]
        facts: Facts = {"damaged_tables": tuple(damaged), "damaged_indexes": past.damaged_indexes}
        others = due_of_others(past, [*past.damaged_tables, *past.damaged_indexes], limits)
        return damage_advice("; ".join(texts), Cause.DAMAGE, facts, others)
    if past.damaged_tables or past.damaged_indexes:
        names = listed([*past.damaged_tables, *past.damaged_indexes, *past.rebuilt_indexes], 3)
        what = "reindex will rebuild it" if past.damaged_indexes else "dropped since"
        reason = f"the last check found damage in {names} ({what}): check again after that"
        return DueCheck(None, None, reason).advice
    if condition.check_obstacle:
        return _unknown(Operation.CHECK, condition.check_obstacle, {})
    return due_check(past, limits).advice


def _about_damage(damaged: Sequence[str], past: TargetHistory) -> str:
    if not damaged:
        return found_in((), past)
    if suspect := suspicion(past.damage_by, damaged):
        return suspect
    to_do = "restore from a backup, or save with pg_dump what can be read and remove the rest with pg_surgery"
    return f"{found_in(damaged, past)}: {to_do}, then check again"


MOST_NAMED: Final = 10


def _largest(found: Iterable[DeadSpace]) -> tuple[DeadSpace, ...]:
    return tuple(sorted(found, key=lambda one: (-one.wasted, one.name))[:MOST_NAMED])


def _vacuum_full(needs: TableFindings, names: Mapping[int, str], limits: Thresholds) -> Advice:
    wasted = sum(waste.bytes for waste in needs.rewrite.values())
    reason, least = "", "half" if limits.table_bloat_share == 0.5 else f"{limits.table_bloat_share:.0%}"
    if needs.rewrite:
        oid, first = max(needs.rewrite.items(), key=lambda item: (item[1].bytes, names[item[0]]))
        others = len(needs.rewrite) - 1
        more = f"; {counted(others, 'table')} more" if others else ""
        instead = ", repack does not" if needs.can_repack else ""
        reason = f"{names[oid]}: {first.reason}{more}; it blocks all access{instead}"
    return Advice(
        operation=Operation.VACUUM_FULL,
        level=Level.NONE,
        reason=reason or f"no table is known to have {size(limits.table_bloat)} of dead space that are {least} of it",
        gain=f"about {size(wasted)}" if wasted else "",
        facts={"tables": len(needs.rewrite), "wasted_bytes": wasted},
        dead_space=_largest(DeadSpace(names[oid], waste.bytes, waste.size) for oid, waste in needs.rewrite.items()),
    )


def _reason(needs: Mapping[int, Need], names: Mapping[int, str], noun: str, forbidden: Set[int]) -> str:
    """The most urgent need in full, and the number of others. `forbidden`: oids that the role may not maintain."""
    urgent = most_urgent(needs, names.__getitem__, noun)
    return "; ".join([urgent, *_obstacles(needs, names, forbidden)]) if needs else ""


def _obstacles(needs: Mapping[int, Need], names: Mapping[int, str], forbidden: Set[int]) -> tuple[str, ...]:
    """What keeps operations from helping these needs, each once, with its objects."""
    texts = by_reason((names[oid], need.obstacle) for oid, need in needs.items() if need.obstacle)
    not_ours = listed(sorted(names[oid] for oid in needs.keys() & forbidden), 3)
    right = [f"this role may not maintain {not_ours}"] if not_ours else []
    return (*(f"{listed(about, 3)}: {obstacle}" for obstacle, about in texts.items()), *right)


def _advice(
    operation: Operation,
    needs: Mapping[int, Need],
    reason: str,
    facts: Facts,
    names: Mapping[int, str],
    forbidden: Set[int],
    limits: Thresholds,
    gain: int = 0,
) -> Advice:
    found = advice_on(operation, needs, names.__getitem__, reason, facts, limits)
    return replace(found, gain=f"about {size(gain)}" if gain else "", obstacles=_obstacles(needs, names, forbidden))
