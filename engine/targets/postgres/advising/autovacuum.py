"""Why the server does not keep up by itself, with the setting to change; and for how long its ids last: pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from engine.domain.humanize import counted, listed, rounded
from engine.domain.thresholds import DAY, MOST_IDS
from engine.targets.operation_specs import Autovacuum as Verdict
from engine.targets.postgres.reading.autovacuum import Autovacuum, Waiting
from engine.targets.postgres.reading.xmin_horizon import XminHorizon

_UNSEEN: Final = (
    "no cause is seen now: vacuum them. Where it happens again, and the server's log has 'canceling autovacuum task', "
    "locks end it; else lower autovacuum_vacuum_scale_factor"
)
STOPS_BEFORE: Final = 3_000_000
"""The server takes no more writes when so many transaction ids are left."""


class Behind(StrEnum):
    """Why autovacuum is behind."""

    OFF = "off"
    WORKERS = "workers"
    COST_LIMIT = "cost_limit"
    LOCKS = "locks"
    HORIZON = "horizon"


def behind(state: Autovacuum, horizon: XminHorizon) -> Mapping[Behind, str]:
    """Each reason in words."""
    found = {}
    if state.turned_off:
        found[Behind.OFF] = f"autovacuum is off: set {state.turned_off} to on"
    elif 0 < state.most_workers <= state.workers:
        is_one = state.workers == 1
        busy = "the only autovacuum worker is busy" if is_one else f"all {state.workers} autovacuum workers are busy"
        if 2 * state.asleep >= state.workers:
            slow = f"{'sleeps' if is_one else f'{state.asleep} of them sleep'} because of the cost limit"
            raised = f"raise autovacuum_vacuum_cost_limit, which is {state.cost_limit}"
            found[Behind.COST_LIMIT] = f"{busy}, and {slow}: {raised}"
        else:
            found[Behind.WORKERS] = f"{busy}: raise autovacuum_max_workers"
    if state.lock_holders:
        ends = "idle_in_transaction_session_timeout ends a transaction that is idle"
        found[Behind.LOCKS] = f"autovacuum gives way to locks: {state.lock_holders}; {ends}"
    if (holder := next((one for one in horizon.holders if one.is_old), None)) is not None and holder.setting:
        found[Behind.HORIZON] = f"{holder.who} holds dead rows back: {holder.setting}"
    return found


def verdict(state: Autovacuum, horizon: XminHorizon, overdue: Mapping[str, bool], unknown: str) -> Verdict:
    """Whether it keeps up in a database.

    Args:
        overdue: names of the tables that it should have vacuumed long ago, and whether it is on for each.
        unknown: why not all of them are known, as text; "" if they are.
    """
    reasons = behind(state, horizon)
    if overdue:
        found = f"{counted(len(overdue), 'table')} should have been vacuumed long ago: {listed(sorted(overdue), 3)}"
        off = sorted(name for name, is_on in overdue.items() if not is_on)
        of_tables = [f"autovacuum_enabled is off for {listed(off, 3)}: reset it"] if off else []
        return Verdict(False, found, "; ".join([*reasons.values(), *of_tables]) or _UNSEEN)
    if Behind.OFF in reasons:
        return Verdict(False, "nothing is vacuumed or analyzed by the server itself", reasons[Behind.OFF])
    if unknown:
        return Verdict(True, f"on, but whether it keeps up is unknown: {unknown}")
    return Verdict(True, "keeps up: no table should have been vacuumed long ago")


def seconds_left(age: int, ids_per_second: float | None) -> float | None:
    """The seconds until the server refuses writes, at that rate; None if unknown."""
    left = max(MOST_IDS - STOPS_BEFORE - age, 0)
    return left / ids_per_second if ids_per_second else None


def lasts(seconds: float, ids_per_second: float) -> str:
    """A sentence on how long the transaction ids last."""
    left = rounded(seconds) if seconds < DAY else counted(round(seconds / DAY), "day")
    return f"at {max(ids_per_second, 1):,.0f} transaction ids a second, as now, writes are refused in about {left}"


def own_plan(waiting: Waiting) -> str:
    """A sentence on what autovacuum itself will do next."""
    return f"autovacuum has {counted(waiting.tables, 'table')} to do, {waiting.first} first (score {waiting.score:.1f})"
