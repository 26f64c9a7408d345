"""Advice from the history, full-text indexes and the log: at each threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.domain.advice import Advice, CheckFinding, Level, TargetHistory, highest_level, needed
from engine.domain.requests import CheckLevel, Operation, Request
from engine.targets.check_policy import DAY
from engine.targets.sqlite.advising.advice import advise
from engine.targets.sqlite.advising.condition import Condition
from engine.targets.sqlite.advising.thresholds import HOUR, MB
from tests.building import SQLITE_OPERATIONS

NOW = 1_795_000_000_000_000
CLEAN = {CheckLevel.FULL: NOW, CheckLevel.QUICK: NOW}
NOT_COMPARED = "no full check on record: only that compares indexes with their tables"
HEALTHY = Condition(pages=10_000, page_size=4096, leaves=())


def past(**more: object) -> TargetHistory:
    return TargetHistory(**{"now": NOW, "checked_at": CLEAN, "compared_at": NOW} | more)  # type: ignore[arg-type]


def of(operation: Operation, condition: Condition = HEALTHY, known: TargetHistory | None = None) -> Advice:
    (found,) = [one for one in advise(condition, known or past()) if one.operation is operation]
    return found


def test_every_operation_is_judged_once() -> None:
    assert sorted(one.operation for one in advise(HEALTHY, past())) == sorted(SQLITE_OPERATIONS)


def test_a_healthy_database_needs_nothing_and_is_told_why() -> None:
    for one in advise(HEALTHY, past()):
        assert one.level is Level.NONE, one
        assert one.reason
        assert "\n" not in one.reason


def test_damaged_indexes_are_to_be_rebuilt_now_and_before_anything_else() -> None:
    condition = replace(HEALTHY, indexes=frozenset({"by name", "by day", "by price"}))
    first, *_ = advise(condition, past(damaged_indexes=("by price", "by name", "dropped since")))
    assert (first.operation, first.level) == (Operation.REINDEX, Level.NOW)
    assert first.objects == ("by price", "by name")
    assert first.reason.endswith(" 2 indexes damaged: by price, by name")


def test_without_damage_no_index_needs_to_be_rebuilt() -> None:
    found = of(Operation.REINDEX)
    assert found.level is Level.NONE
    assert found.reason == "the last full check found no damaged index; VACUUM already packs indexes"


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, "the last full check found no damaged index"),
        ({"broken_rule": "NULL value in a.b"}, "the last full check found no damaged index"),
        ({"compared_at": None}, NOT_COMPARED),
        ({"compared_at": None, "checked_at": {CheckLevel.QUICK: NOW}}, NOT_COMPARED),
        ({"compared_at": None, "broken_rule": "NULL value in a.b"}, NOT_COMPARED),
        ({"damaged_indexes": ("dropped since",)}, "the indexes that the last check found damaged are gone"),
        ({"rebuilt_indexes": ("i", "dropped since")}, "the last check found 1 index damaged, rebuilt since: i"),
    ],
)
def test_why_no_index_is_to_be_rebuilt_is_said_as_it_is_known(known: dict[str, object], words: str) -> None:
    condition = replace(HEALTHY, indexes=frozenset({"i"}))
    found = of(Operation.REINDEX, condition, past(**known))
    assert (found.level, found.reason) == (Level.NONE, f"{words}; VACUUM already packs indexes")


def test_what_breaks_a_rule_is_told_as_found_and_not_as_clean() -> None:
    found = of(Operation.CHECK, known=past(checked_at={}, broken_rule=ORPHANS))
    assert (found.level, found.check) == (Level.SOON, CheckLevel.FULL)
    assert ORPHANS in found.reason
    assert found.facts["found"] == ORPHANS


def test_what_was_rebuilt_is_checked_again() -> None:
    found = of(Operation.CHECK, known=past(checked_at={}, rebuilt_indexes=("i",)))
    assert (found.level, found.check) == (Level.SOON, CheckLevel.FULL)
    assert "rebuilt since" in found.reason


@pytest.mark.parametrize(
    ("full", "quick", "level", "due"),
    [
        (30, 0, Level.NONE, None),
        (31, 0, Level.SOON, CheckLevel.FULL),
        (7, 7, Level.NONE, None),
        (29, 8, Level.SOON, CheckLevel.QUICK),
        (8, 8, Level.SOON, CheckLevel.QUICK),
        (None, 7, Level.NONE, None),
        (None, 8, Level.SOON, CheckLevel.FULL),
        (None, None, Level.SOON, CheckLevel.QUICK),
    ],
)
def test_checks_are_due(full: int | None, quick: int | None, level: Level, due: CheckLevel | None) -> None:
    days = {CheckLevel.FULL: full, CheckLevel.QUICK: quick}
    checked = {which: NOW - ago * DAY for which, ago in days.items() if ago is not None}
    found = of(Operation.CHECK, known=past(checked_at=checked))
    assert (found.level, found.check) == (level, due)
    assert found.facts["days_since_full_check"] == full


def test_a_check_is_due_a_moment_after_its_time() -> None:
    checked = {CheckLevel.FULL: NOW - 30 * DAY - 1, CheckLevel.QUICK: NOW}
    assert of(Operation.CHECK, known=past(checked_at=checked)).check is CheckLevel.FULL


def test_damage_that_no_reindex_mends_is_said_at_once() -> None:
    found = of(Operation.CHECK, known=past(damage=UNUSED_PAGE))
    assert found.level is Level.NOW
    assert UNUSED_PAGE in found.reason


def test_nothing_that_writes_is_advised_where_more_than_indexes_is_damaged() -> None:
    condition = Condition(
        pages=100_000, page_size=4096, free_pages=90_000, is_wal=True, wal_size=500 * MB, leaves=(),
        indexes=frozenset({"i"}), segments={"mail": 99}, changed_at=AT,
    )  # fmt: skip
    damaged = past(checked_at={}, damage="Page 3 is lost", damaged_indexes=("i",), found=FOUND)
    advice = {one.operation: one for one in advise(condition, damaged)}
    check = advice.pop(Operation.CHECK)
    assert (check.level, check.is_needed) == (Level.NOW, False)
    for one in advice.values():
        assert (one.level, one.objects, one.gain) == (Level.NONE, (), "")
        assert one.reason == "the last check found damage (#12): restore a backup or use .recover first"
    everything = Request(target="sales.db", operations=SQLITE_OPERATIONS)
    assert needed(everything, [*advice.values(), check]) is None
    for operation in SQLITE_OPERATIONS:
        assert needed(replace(everything, operations=(operation,)), [*advice.values(), check]) is None


def test_a_rebuilt_index_is_to_be_checked() -> None:
    found = of(Operation.CHECK, known=past(damaged_indexes=("i",), found=FOUND))
    assert (found.level, found.check, found.is_needed) == (Level.SOON, CheckLevel.FULL, True)
    assert found.reason == "found 1 index damaged (#12): reindex, then check again"


AT = NOW - 5 * 60_000_000
FOUND = CheckFinding(job=12, at=AT, findings=2, orphans=3)
UNUSED_PAGE = "Page 12 is never used"
ORPHANS = "3 rows of bill refer to missing rows of item"
UNCHANGED = replace(HEALTHY, changed_at=AT)


@pytest.mark.parametrize(
    ("known", "level", "reason"),
    [
        (
            {"broken_rule": ORPHANS},
            Level.SOON,
            f"found 3 orphans (#12): repair them, then check again ({ORPHANS})",
        ),
        (
            {"broken_rule": "NULL value in a.b", "found": replace(FOUND, findings=1, orphans=0)},
            Level.SOON,
            "found 1 broken rule (#12): repair it, then check again (NULL value in a.b)",
        ),
        (
            {"damage": "Page 3 is lost"},
            Level.NOW,
            "found damage (#12): restore a backup or use .recover, then check again (Page 3 is lost)",
        ),
    ],
)
def test_what_was_found_is_to_be_put_right_before_the_same_check_says_the_same(
    known: dict[str, object], level: Level, reason: str
) -> None:
    found = of(Operation.CHECK, UNCHANGED, past(checked_at={}, **{"found": FOUND} | known))
    assert (found.level, found.reason) == (level, reason)
    assert found.needs_manual_fix
    assert not found.is_needed
    assert highest_level([found]) is level


@pytest.mark.parametrize(
    ("damage", "known", "needs_manual_fix"),
    [
        ({"damage": "Page 3 is lost"}, {"compared_at": None}, True),
        ({"broken_rule": ORPHANS}, {"compared_at": None}, False),
        ({"broken_rule": ORPHANS}, {"compared_at": NOW - 30 * DAY}, True),
        ({"broken_rule": ORPHANS}, {"compared_at": NOW - 31 * DAY}, False),
    ],
)
def test_after_a_check_that_was_not_full_a_full_one_is_due_where_it_is_due_anyway(
    damage: dict[str, object], known: dict[str, object], *, needs_manual_fix: bool
) -> None:
    found = of(Operation.CHECK, UNCHANGED, past(found=replace(FOUND, is_all=False), **damage | known))
    assert found.needs_manual_fix is needs_manual_fix


def test_why_a_full_check_is_due_while_what_a_quick_one_found_is_not_mended() -> None:
    quick = past(checked_at={}, compared_at=None, broken_rule=ORPHANS, found=replace(FOUND, is_all=False))
    found = of(Operation.CHECK, UNCHANGED, quick)
    assert (found.level, found.check, found.is_needed) == (Level.SOON, CheckLevel.FULL, True)
    assert found.reason == f"found 3 orphans (#12): repair them; {NOT_COMPARED} ({ORPHANS})"


def test_how_long_ago_something_was_found_is_told_where_it_is_some_time() -> None:
    later = past(now=AT + 3 * HOUR, broken_rule=ORPHANS, found=FOUND)
    assert " 3 h ago (#12): " in of(Operation.CHECK, UNCHANGED, later).reason


@pytest.mark.parametrize(
    ("condition", "known"),
    [
        (replace(HEALTHY, changed_at=AT + 1), FOUND),
        (replace(UNCHANGED, log_changed_at=AT + 1), FOUND),
        (UNCHANGED, replace(FOUND, is_all=False)),
        (UNCHANGED, replace(FOUND, at=NOW - 31 * DAY)),
    ],
    ids=["changed", "its log changed", "not all was looked at", "long ago"],
)
def test_a_check_that_may_say_something_else_is_needed(condition: Condition, known: CheckFinding) -> None:
    found = of(Operation.CHECK, condition, past(checked_at={}, compared_at=None, broken_rule=ORPHANS, found=known))
    assert (found.level, found.check, found.is_needed) == (Level.SOON, CheckLevel.FULL, True)
    changed = "and the database has changed since" in found.reason
    assert changed is (known == FOUND) or known.at < AT


@pytest.mark.parametrize(
    ("size", "log", "level"),
    [
        (100 * MB, 64 * MB, Level.NONE),
        (100 * MB, 64 * MB + 1, Level.SOON),
        (400 * MB, 100 * MB, Level.NONE),
        (400 * MB, 100 * MB + 1, Level.SOON),
    ],
)
def test_a_long_log_is_to_be_written_back(size: int, log: int, level: Level) -> None:
    condition = Condition(pages=size // 1000, page_size=1000, is_wal=True, wal_size=log, leaves=())
    assert of(Operation.CHECKPOINT, condition).level is level


@pytest.mark.parametrize(
    ("file_size", "gain"), [(100 * MB, "about 70.0 MB back"), (90 * MB, "about 60.0 MB back"), (40 * MB, "")]
)
def test_of_a_log_comes_back_what_does_not_make_the_file_grow(file_size: int, gain: str) -> None:
    condition = Condition(pages=100_000, page_size=1000, is_wal=True, wal_size=70 * MB, file_size=file_size, leaves=())
    assert of(Operation.CHECKPOINT, condition).gain == gain


def test_an_empty_log_is_called_that() -> None:
    condition = Condition(pages=100, page_size=1000, is_wal=True, leaves=())
    assert of(Operation.CHECKPOINT, condition).reason.endswith("is empty")


def test_a_vacuum_empties_the_log_too() -> None:
    condition = Condition(pages=100_000, page_size=1000, free_pages=40_000, is_wal=True, wal_size=70 * MB, leaves=())
    found = of(Operation.CHECKPOINT, condition)
    assert (found.level, found.covered_by) == (Level.NONE, Operation.VACUUM)


def test_what_is_left_of_a_log_outside_wal_mode_is_no_checkpoint_s_business() -> None:
    condition = Condition(pages=100, page_size=1000, wal_size=70 * MB, leaves=())
    assert of(Operation.CHECKPOINT, condition).level is Level.NONE


@pytest.mark.parametrize(("segments", "level"), [(8, Level.NONE), (9, Level.SOON)])
def test_a_full_text_index_of_many_segments_is_to_be_merged(segments: int, level: Level) -> None:
    condition = Condition(pages=100, page_size=4096, segments={"notes": 1, "mail": segments}, leaves=())
    found = of(Operation.FTS_OPTIMIZE, condition)
    assert found.level is level
    assert f"mail has {segments} segments" in found.reason


def test_a_backup_is_never_advised_as_others_are_not_known() -> None:
    assert of(Operation.BACKUP).level is Level.NONE
    assert "none was made" in of(Operation.BACKUP).reason
    found = of(Operation.BACKUP, known=past(backed_up_at=NOW - 3 * DAY))
    assert found.level is Level.NONE
    assert "3 days ago" in found.reason


def test_a_library_that_can_lose_commits_is_told_of_each_database_in_wal_mode_and_calls_for_nothing() -> None:
    affected = replace(HEALTHY, library_loses_commits="3.46.1")
    assert of(Operation.CHECKPOINT, affected) == of(Operation.CHECKPOINT)
    found = of(Operation.CHECKPOINT, replace(affected, is_wal=True))
    assert (found.level, found.facts["library_loses_commits"]) == (Level.NONE, "3.46.1")
    assert "SQLite 3.46.1" in found.reason
    assert found.reason.startswith(of(Operation.CHECKPOINT, replace(HEALTHY, is_wal=True)).reason)
