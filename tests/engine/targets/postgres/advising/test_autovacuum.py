"""Why the server does not keep up by itself, and for how long its transaction ids last."""

from __future__ import annotations

import pytest

from engine.domain.advice import CRITICAL, Advice, Level, TargetHistory
from engine.domain.requests import Operation
from engine.targets.needs import Need
from engine.targets.postgres.advising.advice import advise
from engine.targets.postgres.advising.autovacuum import Behind, behind, seconds_left, verdict
from engine.targets.postgres.advising.findings import Cause, TableFindings
from engine.targets.postgres.reading.autovacuum import Autovacuum, Waiting
from engine.targets.postgres.reading.condition import Condition
from engine.targets.postgres.reading.relations import Table
from engine.targets.postgres.reading.xmin_horizon import NOTHING_HELD, Holder, XminHorizon
from tests.engine.targets.server_session import connected
from tests.postgres_databases import Database

SLEEPER = XminHorizon([Holder("pid 7", 5, 400.0, "psql, joe, idle in transaction")], is_complete=True)


@pytest.mark.parametrize(
    ("state", "horizon", "expected"),
    [
        (Autovacuum(), NOTHING_HELD, {}),
        (Autovacuum("autovacuum"), NOTHING_HELD, {Behind.OFF: "autovacuum is off: set autovacuum to on"}),
        (
            Autovacuum(workers=3),
            NOTHING_HELD,
            {Behind.WORKERS: "all 3 autovacuum workers are busy: raise autovacuum_max"},
        ),
        (Autovacuum(workers=3, asleep=1), NOTHING_HELD, {Behind.WORKERS: "raise autovacuum_max_workers"}),
        (
            Autovacuum(workers=3, asleep=2),
            NOTHING_HELD,
            {Behind.COST_LIMIT: "raise autovacuum_vacuum_cost_limit, which is 200"},
        ),
        (
            Autovacuum(most_workers=1, workers=1, asleep=1),
            NOTHING_HELD,
            {Behind.COST_LIMIT: "the only autovacuum worker is busy, and sleeps because of the cost limit: raise"},
        ),
        (
            Autovacuum(lock_holders="pid 3 holds"),
            NOTHING_HELD,
            {Behind.LOCKS: "pid 3 holds; idle_in_transaction_session"},
        ),
        (Autovacuum(), SLEEPER, {Behind.HORIZON: "pid 7 holds dead rows back: transaction_timeout"}),
    ],
)
def test_each_reason_names_the_setting_to_change(
    state: Autovacuum, horizon: XminHorizon, expected: dict[Behind, str]
) -> None:
    found = behind(state, horizon)
    assert found.keys() == expected.keys()
    for reason, words in expected.items():
        assert words in found[reason]


@pytest.mark.parametrize(
    ("state", "overdue", "counts_nothing", "keeps_up", "words"),
    [
        (Autovacuum(), {}, "", True, "keeps up"),
        (Autovacuum(), {}, "track_counts is off here", True, "unknown: track_counts is off here"),
        (Autovacuum("track_counts"), {}, "", False, "set track_counts to on"),
        (Autovacuum(workers=3), {"public.t": True}, "", False, "raise autovacuum_max_workers"),
        (Autovacuum(workers=3), {}, "", True, "keeps up"),
        (Autovacuum(), {"public.t": True}, "", False, "locks end it; else lower autovacuum_vacuum_scale_factor"),
        (Autovacuum(), {"public.t": False, "public.u": True}, "", False, "autovacuum_enabled is off for public.t"),
    ],
)
def test_whether_it_keeps_up_is_told_with_the_setting(
    state: Autovacuum, overdue: dict[str, bool], counts_nothing: str, keeps_up: bool, words: str
) -> None:
    found = verdict(state, NOTHING_HELD, overdue, counts_nothing)
    assert found.keeps_up is keeps_up
    assert words in f"{found.found}; {found.remedy}"


def old(age: int, rate: float | None, waiting: Waiting | None = None) -> Advice:
    """The advice on VACUUM where one table is that old, and so many ids are used up in a second."""
    state = Autovacuum(ids_per_second=rate, waiting=waiting)
    table = Table(1, "public", "t", "r", 100, 5000.0, 40, 2, False, False, True, None)
    condition = Condition(tables=[table], indexes=[], activity=[], xid_age=age, autovacuum=state)
    needs = TableFindings(vacuum={1: Need(Level.NOW, "old", Cause.XID_AGE)})
    with_need = advise(condition, needs, TargetHistory(now=0))
    return next(one for one in with_need if one.operation is Operation.VACUUM)


def test_transaction_ids_that_last_for_few_days_at_the_present_rate_are_critical() -> None:
    assert seconds_left(10, None) is None
    calm, busy = old(600_000_000, 1_000.0), old(600_000_000, 10_000.0)
    assert "at 1,000 transaction ids a second, as now, writes are refused in about 18 days" in calm.reason
    assert (calm.urgency, calm.facts["days_left"]) == (Level.NOW, 17.9)
    assert (busy.urgency, busy.facts["days_left"]) == (CRITICAL, 1.8)
    assert "writes are refused in about 2 days" in busy.reason
    assert old(1_700_000_000, None).urgency == CRITICAL


def test_what_autovacuum_means_to_do_next_is_told() -> None:
    assert (
        "autovacuum has 12 tables to do, public.a first (score 8.3)"
        in old(10, 1.0, Waiting("public.a", 8.3, 12)).reason
    )


@pytest.mark.parametrize("is_locked", [False, True])
async def test_a_lock_that_keeps_autovacuum_away_and_that_it_is_off_are_told(
    database: Database, *, is_locked: bool
) -> None:
    database("CREATE TABLE item (id int)", "INSERT INTO item SELECT generate_series(1, 1000)", "DELETE FROM item")
    if is_locked:
        database("BEGIN", "LOCK TABLE item IN SHARE MODE", "PREPARE TRANSACTION 'other'")
    try:
        async with connected(database.url) as session:
            (advice, _) = await session.advise(TargetHistory(now=0), budget=1.0)
    finally:
        if is_locked:
            database("ROLLBACK PREPARED 'other'")
    (vacuum,) = [one for one in advice if one.operation is Operation.VACUUM]
    assert vacuum.facts["autovacuum_behind"] == (("off", "locks") if is_locked else ("off",))
    assert "autovacuum is off" in vacuum.reason
    told = "autovacuum gives way to locks: prepared transaction 'other' (prepared "
    assert (told in vacuum.reason) is is_locked
