"""How urgent a target is among many, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.domain.advice import CRITICAL, Advice, CheckFinding, Level, TargetHistory
from engine.domain.errors import (
    DbtendError,
    HotJournalError,
    PasswordNeededError,
    ServerStartingError,
    ServerUnavailableError,
    TargetBusyError,
    TargetDamagedError,
    TargetError,
    TargetMissingError,
    TargetRefusedError,
    TargetUnrecognizedError,
)
from engine.domain.requests import CheckLevel, Operation
from engine.domain.surveys import FleetLevel, SurveyCause
from engine.domain.thresholds import GB, MB, MOST_IDS, Thresholds
from engine.fleet.levels import Disk, Judgement, judge, judge_error, judge_silence
from engine.targets.postgres.advising import advice as server_advice
from engine.targets.postgres.advising.findings import needs
from engine.targets.postgres.reading.condition import Activity
from engine.targets.postgres.reading.condition import Condition as ServerCondition
from engine.targets.postgres.reading.needless_indexes import NONE_NEEDLESS, Duplicate, NeedlessIndexes
from engine.targets.postgres.reading.relations import Table
from engine.targets.sqlite.advising.advice import advise
from engine.targets.sqlite.advising.condition import Condition, Leaves, Statistics

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000
CHECKED = TargetHistory(now=NOW, checked_at={CheckLevel.FULL: NOW - DAY, CheckLevel.QUICK: NOW - DAY}, compared_at=NOW)
WELL = Condition(pages=25_000, page_size=4096, leaves=(), indexes=frozenset({"i"}), changed_at=NOW - 2 * DAY)
"""A file of 100 MB that needs nothing."""
STALE = (Statistics(table="t", known_rows=10, rows=1_000_000),)


def of_file(condition: Condition = WELL, past: TargetHistory = CHECKED, **how: Any) -> Judgement:
    limits = how.get("limits", Thresholds())
    return judge(advise(condition, past, limits), past, **how)


def seen(found: Judgement) -> list[tuple[str, str]]:
    return [(one.level.value, one.cause.value) for one in found.reasons]


def test_a_file_that_needs_nothing_is_ok() -> None:
    assert of_file() == Judgement(FleetLevel.OK, (), 0)


@pytest.mark.parametrize(
    ("free_pages", "level"),
    [(3_000, "ok"), (6_000, "ok"), (6_300, "soon"), (20_000, "soon"), (70_000, "now")],
)
def test_free_space_counts_where_share_and_bytes_are_both_reached(free_pages: int, level: str) -> None:
    pages = max(25_000, free_pages + 10_000)
    found = of_file(replace(WELL, pages=pages, free_pages=free_pages))
    assert found.level == level
    assert found.reclaimable == free_pages * 4096


def test_thresholds_are_those_that_are_given() -> None:
    small = replace(WELL, pages=1_250, free_pages=562)  # 45 % of 5 MB
    assert of_file(small).level is FleetLevel.OK
    assert of_file(small).reclaimable == 562 * 4096
    assert of_file(small, limits=Thresholds(reclaim_soon=MB)).level is FleetLevel.SOON
    now = Thresholds(reclaim_now=MB, reclaim_now_share=0.4)
    assert of_file(small, limits=now).level is FleetLevel.NOW


def test_a_file_that_was_never_checked_is_not_urgent_and_says_so_apart() -> None:
    found = of_file(past=TargetHistory(now=NOW))
    assert found.level is FleetLevel.UNCHECKED
    assert seen(found) == [("unchecked", "never_checked")]


def test_a_check_that_is_due_is_not_urgent() -> None:
    long_ago = {CheckLevel.FULL: NOW - 40 * DAY, CheckLevel.QUICK: NOW - 40 * DAY}
    assert seen(of_file(past=replace(CHECKED, checked_at=long_ago))) == [("unchecked", "check_overdue")]


@pytest.mark.parametrize(("pages", "level"), [(1_000, "small"), (25_000, "now")])
def test_statistics_of_a_small_file_are_not_urgent(pages: int, level: str) -> None:
    found = of_file(replace(WELL, pages=pages, statistics=STALE))
    assert (found.level, found.reasons[0].cause) == (level, SurveyCause.STATISTICS)


def test_small_is_what_the_thresholds_say() -> None:
    condition = replace(WELL, pages=1_000, statistics=STALE)
    assert of_file(condition, limits=Thresholds(small=MB)).level is FleetLevel.NOW


def test_damage_that_a_check_found_is_critical() -> None:
    found = CheckFinding(job=42, at=NOW - DAY, findings=1)
    whole = of_file(past=replace(CHECKED, checked_at={}, damage="page 3 is garbage", found=found))
    assert seen(whole) == [("critical", "damage")]
    assert whole.reasons[0].facts == {"job": 42}
    index = of_file(past=replace(CHECKED, damaged_indexes=("i",), found=found))
    assert index.level is FleetLevel.CRITICAL
    assert index.reasons[0].cause is SurveyCause.DAMAGE


def test_rows_that_violate_a_constraint_are_no_damage() -> None:
    found = CheckFinding(job=42, at=NOW - DAY, findings=3, orphans=3)
    told = of_file(past=replace(CHECKED, checked_at={}, broken_rule="3 orphans", broken_rule_found=found))
    assert seen(told) == [("soon", "broken_rule")]
    assert told.reasons[0].facts == {"findings": 3, "orphans": 3, "job": 42}


def of_large_unmeasured(past: TargetHistory = CHECKED, **how: Any) -> Judgement:
    tables = (Statistics(table="t", known_rows=10, rows=None, unseen=True),)
    return of_file(replace(WELL, leaves=None, unseen="over the budget", statistics=tables, **how), past)


def test_what_was_not_measured_is_unknown_and_not_ok() -> None:
    never = TargetHistory(now=NOW)
    found = of_large_unmeasured(never)
    assert (found.level, seen(found)) == (
        FleetLevel.UNKNOWN,
        [("unknown", "not_measured"), ("unchecked", "never_checked")],
    )
    assert found.reasons[0].facts == {"operations": ["vacuum", "analyze", "optimize"]}


def test_what_is_known_to_be_urgent_is_told_instead_of_what_was_not_measured() -> None:
    assert seen(of_large_unmeasured(free_pages=7_000)) == [("soon", "reclaimable")]


def test_a_small_file_of_which_not_all_was_measured_is_ok() -> None:
    assert of_large_unmeasured(pages=1_000).level is FleetLevel.OK


def test_a_check_that_is_not_possible_leaves_the_level_ok() -> None:
    check = Advice(operation=Operation.CHECK, level=Level.UNKNOWN, reason="it cannot be checked here")
    assert judge([check], CHECKED).level is FleetLevel.OK


@pytest.mark.parametrize(
    ("free", "size", "level"),
    [
        (GB // 2, 100 * GB, "critical"),
        (GB // 2, 2 * GB, "ok"),  # a quarter of it
        (2 * GB, 1000 * GB, "ok"),
        (0, 100 * GB, "critical"),
    ],
)
def test_a_disk_is_nearly_full_where_share_and_bytes_say_so(free: int, size: int, level: str) -> None:
    assert of_file(disk=Disk(free, size)).level == level


def test_the_most_urgent_reason_comes_first_and_all_are_kept() -> None:
    found = of_file(
        replace(WELL, free_pages=7_000, statistics=STALE), past=TargetHistory(now=NOW), disk=Disk(0, 100 * GB)
    )
    assert seen(found) == [
        ("critical", "disk_full"),
        ("now", "statistics"),
        ("soon", "reclaimable"),
        ("unchecked", "never_checked"),
    ]


# Servers

QUIET = Activity(
    oid=1, dead=0, dead_limit=1000, inserted=0, inserted_limit=1000, modified=0, modified_limit=500, xid_age=1000,
    xid_limit=200_000_000, multixact_age=0, multixact_limit=400_000_000, has_autovacuum=True, has_statistics=True,
    rows=5000, pages=50_000,
)  # fmt: skip
TABLE = Table(
    oid=1, schema="public", name="t", kind="r", pages=50_000, rows=5000, index_pages=0, indexes=0, in_catalog=False,
    has_children=False, may_be_maintained=True, clustered_by=None,
)  # fmt: skip


def of_server(*, past: TargetHistory = CHECKED, limits: Thresholds | None = None, **activity: Any) -> Judgement:
    xid_age, old_neighbors = activity.pop("database_xid_age", 0), activity.pop("old_neighbors", {})
    needless = activity.pop("needless", NONE_NEEDLESS)
    condition = ServerCondition(
        tables=[TABLE],
        indexes=[],
        activity=[replace(QUIET, **activity)],
        xid_age=xid_age,
        old_neighbors=old_neighbors,
        needless=needless,
    )
    limits = limits or Thresholds()
    return judge(server_advice.advise(condition, needs(condition, past, limits), past, limits), past, limits=limits)


@pytest.mark.parametrize(
    ("activity", "expected"),
    [
        ({}, []),
        ({"xid_age": 190_000_000}, [("soon", "xid_age")]),
        ({"xid_age": 500_000_000}, [("now", "xid_age")]),
        ({"xid_age": 1_650_000_000}, [("critical", "xid_age")]),
        ({"multixact_age": 1_650_000_000}, [("critical", "multixact_age")]),
        ({"database_xid_age": 1_650_000_000}, [("critical", "xid_age")]),
        ({"old_neighbors": {"template0": False}}, [("critical", "old_neighbors")]),
        ({"xid_age": 190_000_000, "pages": 1}, [("soon", "xid_age")]),
        ({"dead": 1001}, [("soon", "dead_rows")]),
        ({"dead": 5001}, [("now", "dead_rows")]),
        ({"dead": 5001, "pages": 100}, [("small", "dead_rows")]),
        ({"xid_age": 190_000_000, "dead": 5001, "pages": 100}, [("soon", "xid_age")]),
        ({"modified": 501}, [("soon", "statistics")]),
        ({"has_statistics": False}, [("now", "statistics")]),
        ({"has_statistics": False, "pages": 10}, [("small", "statistics")]),
    ],
)
def test_what_makes_a_database_of_a_server_urgent(activity: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert seen(of_server(**activity)) == expected


def test_old_ids_are_told_with_their_number() -> None:
    (reason,) = of_server(xid_age=1_650_000_000).reasons
    assert reason.facts == {"age": 1_650_000_000, "most": MOST_IDS}


def test_indexes_that_may_be_needless_are_told_and_make_nothing_urgent() -> None:
    two = [Duplicate("public", name, "kept", 5 * MB) for name in ("one", "two")]
    needless = NeedlessIndexes(duplicates=two, prefixes=two[:1])
    (reason,) = (found := of_server(needless=needless)).reasons
    assert seen(found) == [("ok", "needless_indexes")]
    assert (reason.facts["needless_indexes"], reason.facts["needless_bytes"]) == (2, 10 * MB)


def test_a_server_that_never_had_a_check_is_unchecked() -> None:
    assert seen(of_server(past=TargetHistory(now=NOW))) == [("unchecked", "never_checked")]


# What could not be inspected


@pytest.mark.parametrize(
    ("error", "level", "cause"),
    [
        (TargetDamagedError, "critical", "cannot_be_read"),
        (TargetBusyError, "unknown", "locked"),
        (ServerStartingError, "unknown", "locked"),
        (TargetRefusedError, "unknown", "refused"),
        (TargetMissingError, "unreachable", "unavailable"),
        (TargetUnrecognizedError, "unreachable", "unavailable"),
        (ServerUnavailableError, "unreachable", "unavailable"),
        (PasswordNeededError, "unreachable", "unavailable"),
        (TargetError, "unreachable", "unavailable"),
    ],
)
def test_what_cannot_be_inspected_says_why(error: type[DbtendError], level: str, cause: str) -> None:
    found = judge_error(error("sales", "no such file"))
    assert seen(found) == [(level, cause)]
    assert found.reasons[0].facts == {"error": "no such file"}


def test_a_hot_journal_is_to_be_rolled_back_soon() -> None:
    assert seen(judge_error(HotJournalError("sales", "a crash"))) == [("soon", "hot_journal")]


def test_a_file_that_says_that_it_is_a_database_and_is_none_is_critical() -> None:
    found = judge_error(TargetUnrecognizedError("sales", "it is no database"), is_damaged=True)
    assert seen(found) == [("critical", "cannot_be_read")]


def test_no_answer_is_told_with_the_time() -> None:
    found = judge_silence(5.0)
    assert (seen(found), found.reasons[0].facts) == ([("unreachable", "no_answer")], {"seconds": 5.0})


# Properties

RANK = {level: number for number, level in enumerate(FleetLevel)}
BYTES = st.integers(0, 10**12)
FEW = st.integers(0, 200_000)


@given(pages=st.integers(0, 300_000), free=FEW, better=FEW, rows=st.integers(0, 10**7), log=st.integers(0, 10**9))
def test_the_level_of_a_file_never_rises_when_space_is_given_back(
    pages: int, free: int, better: int, rows: int, log: int
) -> None:
    """The pages that are given back leave the file, too."""
    free, better = min(free, pages), min(better, free, pages)
    statistics = (Statistics(table="t", known_rows=1_000, rows=rows),)
    condition = replace(WELL, pages=pages, free_pages=free, statistics=statistics, is_wal=True, wal_size=log)
    after = replace(condition, pages=pages - better, free_pages=free - better)
    known = advise(condition, CHECKED), advise(after, CHECKED)
    before, later = (judge(one, CHECKED) for one in known)
    of_space = {SurveyCause.RECLAIMABLE}
    worst = [min((RANK[r.level] for r in one.reasons if r.cause in of_space), default=9) for one in (before, later)]
    assert worst[1] >= worst[0]
    assert later.reclaimable <= before.reclaimable


@given(free=BYTES, more=BYTES, size=BYTES)
def test_the_level_never_rises_when_the_disk_has_more_room(free: int, more: int, size: int) -> None:
    assert RANK[of_file(disk=Disk(free + more, size)).level] >= RANK[of_file(disk=Disk(free, size)).level]


COUNTS = st.integers(0, 2**31)


@given(st.tuples(COUNTS, COUNTS), st.tuples(COUNTS, COUNTS), st.tuples(FEW, FEW), st.tuples(FEW, FEW), FEW)
def test_the_level_of_a_server_never_rises_when_a_number_falls(
    xids: tuple[int, int], multixacts: tuple[int, int], dead: tuple[int, int], changed: tuple[int, int], pages: int
) -> None:
    worse, better = (
        of_server(
            xid_age=of(xids), multixact_age=of(multixacts), dead=of(dead), modified=of(changed), pages=pages
        ).level
        for of in (max, min)
    )
    assert RANK[better] >= RANK[worse]


LEVELS = st.sampled_from(Level)


@given(
    st.lists(
        st.builds(
            Advice,
            operation=st.sampled_from(Operation),
            level=LEVELS,
            reason=st.just(""),
            facts=st.sampled_from([{}, {"severity": CRITICAL}, {"reclaimable_bytes": 5}]),
            level_of_large=st.sampled_from([None, Level.NONE]),
        ),
        max_size=6,
    )
)
@example([Advice(operation=Operation.CHECK, level=Level.UNCHECKED, reason="")])
def test_the_level_is_that_of_the_first_reason_and_at_most_that_of_the_advice(advice: list[Advice]) -> None:
    found = judge(advice, CHECKED)
    ranks = [RANK[one.level] for one in found.reasons if one.cause is not SurveyCause.NOT_MEASURED]
    assert ranks == sorted(ranks)
    if found.level is FleetLevel.OK:
        assert not [
            one
            for one in advice
            if one.level is Level.UNKNOWN and one.level_of_large is None and one.operation is not Operation.CHECK
        ]
    assert found.level is (found.reasons[0].level if found.reasons else FleetLevel.OK)
    if found.level is not FleetLevel.CRITICAL:
        urgent = [FleetLevel(one.level) for one in advice if one.is_urgent or one.shown_level is Level.UNCHECKED]
        assert RANK[found.level] >= min(map(RANK.__getitem__, urgent), default=RANK[FleetLevel.OK])


def test_leaves_that_are_half_empty_are_reclaimable() -> None:
    half = (Leaves(pages=20_000, cells=200_000, unused=20_000 * 2_000, largest=200),)
    found = of_file(replace(WELL, leaves=half))
    assert found.level is FleetLevel.SOON
    assert found.reclaimable > 16 * MB
