"""What a database needs, in a line for each operation: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from engine.domain.advice import CRITICAL, Advice, ByHand, CheckCause, Level, TargetHistory
from engine.domain.damage import suspicion
from engine.domain.humanize import counted, listed, size
from engine.domain.requests import CheckLevel, Operation
from engine.domain.steps import Facts
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.targets.check_policy import DueCheck, damage_advice, due_check, due_of_others, found_in
from engine.targets.mysql.advising.findings import (
    AT_ITS_END,
    CHANGES_ARE_LOCKED,
    LONG_HISTORY,
    Cause,
    TableFindings,
    locked_text,
    used_percent,
)
from engine.targets.mysql.connection.names import account, shown
from engine.targets.mysql.reading.condition import Condition
from engine.targets.mysql.reading.tables import TRANSACTIONAL
from engine.targets.mysql.reading.undo import FIRST_SIZE
from engine.targets.needs import Need, advice_on, in_order, most_urgent, optimize, ranked, urgency, without_damaged

COVERED: Final = (Operation.ANALYZE, Operation.REBUILD)
"""The operations that optimize covers."""
_CRASH_UNSAFE: Final = frozenset({"MyISAM", "ARCHIVE", "CSV"})


def advise(
    condition: Condition, needs: TableFindings, past: TargetHistory, limits: Thresholds = DEFAULT_THRESHOLDS
) -> tuple[Advice, ...]:
    """One advice per operation, in the best order to run them."""
    repair = _repair(needs)
    single = [_analyze(condition, needs, past, limits), _rebuild(condition, needs, past, limits)]
    check, undo = _check(condition, needs, past, limits), _purge_undo(condition, limits)
    return in_order((repair, *single, optimize(single, COVERED), check, undo), past)


def _repair(needs: TableFindings) -> Advice:
    one = _advice(Operation.REPAIR, needs.repair, "no table of MyISAM or Aria is known to be damaged", {})
    if not needs.repair:
        return one
    # A quick check does not see all that a full one finds.
    return replace(one, facts={**one.facts, "severity": CRITICAL}, check=CheckLevel.FULL)


def _analyze(condition: Condition, needs: TableFindings, past: TargetHistory, limits: Thresholds) -> Advice:
    nothing = "no table is over its threshold of changed rows"
    if condition.changes is None:
        nothing = f"how many rows changed is unknown: {_grant(condition)}"
    if condition.changes_are_locked:
        nothing = CHANGES_ARE_LOCKED
    one = _advice(Operation.ANALYZE, needs.analyze, nothing, {"tables": len(needs.analyze)}, limits)
    if (condition.changes is None or condition.changes_are_locked) and not needs.analyze:
        one = replace(one, level=Level.UNKNOWN, inspection_can_tell=False)
    return without_damaged(_without_locked(one, condition), past.damaged_tables)


def _rebuild(condition: Condition, needs: TableFindings, past: TargetHistory, limits: Thresholds) -> Advice:
    online = {name: need for name, need in needs.rebuild.items() if not need.obstacle}
    blocked = {name: need for name, need in needs.rebuild.items() if need.obstacle}
    wasted = sum(need.gain for need in needs.rebuild.values())
    facts: dict[str, int] = {"tables": len(needs.rebuild), "wasted_bytes": wasted}
    most = max(map(used_percent, condition.tables), default=0)
    if needs.by_hand:
        facts |= {"auto_increments": len(needs.by_hand), "auto_increment_percent": most}
    nothing = f"no table has {size(limits.reclaim_soon)} of free space that are {limits.reclaim_soon_share:.0%} of it"
    one = _advice(Operation.REBUILD, online, nothing, facts, limits)
    texts = [] if blocked and not online else [one.reason]
    obstacles = tuple(f"{name}: {need.reason}; {need.obstacle}" for name, need in ranked(blocked, shown))
    texts += obstacles[:1] + ((f"{counted(len(blocked) - 1, 'table')} more",) if len(blocked) > 1 else ())
    level = Level.UNKNOWN if condition.not_sampled and not online else one.level
    if condition.not_sampled:
        texts.append(f"{counted(condition.not_sampled, 'large table')} not measured")
    if needs.unmeasurable:
        what = listed(needs.unmeasurable, 3)
        texts.append(f"unknown what a rebuild of {what} gives back: ROW_FORMAT=COMPRESSED, only a rebuild shows it")
    by_hand = "; ".join(filter(None, (most_urgent(needs.by_hand, shown), *needs.notes)))
    found = replace(
        one,
        level=level,
        reason="; ".join(texts),
        gain=f"about {size(wasted)} to give back" if wasted else "",
        obstacles=obstacles,
        by_hand=ByHand(level=urgency(needs.by_hand.values()), reason=by_hand, is_critical=most >= AT_ITS_END)
        if by_hand
        else None,
    )
    causes = {need.cause for need in (*online.values(), *needs.by_hand.values())}
    found = replace(found, facts={**found.facts, "causes": tuple(sorted(causes))}) if causes else found
    return without_damaged(_without_locked(found, condition), past.damaged_tables)


def _without_locked(one: Advice, condition: Condition) -> Advice:
    """Say which tables nothing is known of, because another session has locked them."""
    if not condition.locked:
        return one
    reason, facts = f"{one.reason}; {locked_text(condition)}", {**one.facts, "locked_tables": condition.locked}
    known = replace(one, reason=reason, facts=facts)
    return known if one.is_urgent else replace(known, level=Level.UNKNOWN, inspection_can_tell=False)


def _check(condition: Condition, needs: TableFindings, past: TargetHistory, limits: Thresholds) -> Advice:
    repairable = {shown(name) for name in needs.repair}
    damaged = [name for name in past.damaged_tables if name not in repairable]
    hidden = [table for table in condition.tables if table.comment and table.engine in TRANSACTIONAL]
    if hidden and not damaged:
        what = f"the server cannot open {listed([table.shown for table in hidden], 3)}: {hidden[0].comment}"
        return _with_damage(what, [table.shown for table in hidden])
    if damaged and (suspect := suspicion(past.damage_by, damaged)):
        facts = {"damaged_tables": tuple(damaged)}
        return damage_advice(suspect, Cause.DAMAGE, facts, due_of_others(past, damaged, limits))
    if damaged or (past.damage is not None and not past.damaged_tables):
        return _with_damage(found_in(damaged, past), damaged)
    known = _with_findings(past)
    found = due_check(known, limits)
    unsafe = [table.shown for table in condition.tables if table.engine in _CRASH_UNSAFE]
    checked = max(*known.last_checks.values(), past.accepted_at or 0, 0)
    if found.level is None and unsafe and condition.server.started * 1_000_000 > checked:
        reason = f"the server started after the last check; a crash would have damaged {listed(unsafe, 3)}"
        found = DueCheck(CheckLevel.QUICK, CheckCause.SERVER_STARTED, reason)
    if past.broken_rule is not None:
        job = f" (#{past.broken_rule_found.job})" if past.broken_rule_found is not None else ""
        to_do = "add the missing rows, or remove those that refer to them, then check again"
        return replace(
            found.advice,
            level=Level.SOON,
            cause=Cause.BROKEN_RULE,
            reason=f"the last check{job} found: {past.broken_rule}: {to_do}",
            check=found.level or CheckLevel.FULL,
            needs_manual_fix=found.level is None,
        )
    return found.advice


def _with_damage(what: str, tables: Sequence[str]) -> Advice:
    to_do = "restore from a backup, or dump what can be read, drop the table and load it again; then check again"
    return damage_advice(f"{what}: {to_do}", Cause.DAMAGE, {"damaged_tables": tuple(tables)})


def _with_findings(past: TargetHistory) -> TargetHistory:
    """The history where a full check that found only rows without parents counts: another would find the same."""
    if past.broken_rule is None or past.damaged_tables or past.compared_at is None:
        return past
    return replace(past, checked_at={**past.checked_at, CheckLevel.FULL: past.compared_at})


def _purge_undo(condition: Condition, limits: Thresholds) -> Advice:
    undo = condition.undo
    if undo.history is None and undo.bytes is None:
        why = f"the undo log of the server is not visible: {_grant(condition)}"
        return Advice(operation=Operation.PURGE_UNDO, level=Level.UNKNOWN, reason=why, inspection_can_tell=False)
    history, held = undo.history or 0, undo.bytes or 0
    excess = max(held - undo.files * FIRST_SIZE, 0)
    facts = {"history": history, **({"undo_bytes": held} if held else {})}
    why = "InnoDB is read-only" if condition.server.is_innodb_read_only else _grant(condition)
    hidden = f"; how large the undo log is, is not visible: {why}"
    reason = f"{counted(history, 'transaction')} to purge"
    reason += f", {size(held)} of undo log on the server" if held else hidden
    holder = f"held back by {undo.holder.text}" if undo.holder is not None else "purge is behind"
    to_set = undo.truncation.to_set if undo.truncation is not None else ""
    is_large = excess >= limits.reclaim_now and (undo.truncation is None or bool(to_set))
    cause: Cause | None = None
    is_unknown = False
    if history >= LONG_HISTORY:
        cause, reason = Cause.LONG_HISTORY, f"{reason}; {holder}"
    elif undo.left:
        left = f"an interrupted purge left {listed(undo.left, 3)}, which another one puts right"
        cause, reason = Cause.INTERRUPTED_PURGE, f"{reason}; {left}"
    else:
        cause = Cause.LARGE_UNDO if is_large else None
        is_unknown = not held and (undo.truncation is None or bool(to_set))
        if undo.truncation is not None:
            reason += f"; {to_set or 'MariaDB truncates it by itself when no transaction needs it'}"
    return Advice(
        operation=Operation.PURGE_UNDO,
        level=Level.SOON if cause is not None else Level.UNKNOWN if is_unknown else Level.NONE,
        cause=cause or "",
        reason=reason,
        inspection_can_tell=False,
        gain=f"about {size(excess)}" if cause is Cause.LARGE_UNDO else "",
        facts=facts if cause is None else {**facts, "causes": (cause,)},
        obstacles=(holder,) if cause is Cause.LONG_HISTORY else (),
        needs_manual_fix=cause is Cause.LONG_HISTORY or (cause is Cause.LARGE_UNDO and bool(to_set)),
    )


def _grant(condition: Condition) -> str:
    return f"as an administrator: GRANT PROCESS ON *.* TO {account(condition.server.user)}"


def _advice(
    operation: Operation,
    needs: Mapping[str, Need],
    nothing: str,
    facts: Facts,
    limits: Thresholds = DEFAULT_THRESHOLDS,
) -> Advice:
    causes = tuple(sorted({need.cause for need in needs.values()}))
    facts = {**facts, "causes": causes} if causes else facts
    return advice_on(operation, needs, shown, most_urgent(needs, shown) or nothing, facts, limits)
