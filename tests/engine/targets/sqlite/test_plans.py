"""Reasons, locks and disk needs, as pure functions of the facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.jobs import Operation, Status
from engine.targets.sqlite import plans
from engine.targets.sqlite.catalog import Index, Summary, Table
from engine.targets.sqlite.session import checkpoint_result

SUMMARY = Summary(
    size=4_096_000,
    wal_size=0,
    pages=1000,
    page_size=4096,
    free_pages=310,
    journal_mode="delete",
    tables=3,
    indexes=4,
)


@pytest.mark.parametrize(
    ("free_pages", "reason"),
    [
        (310, "31% of the pages are free (1.27 MB)"),
        (1, "less than 1% of the pages are free (4.10 kB)"),
        (0, "no page is free; only partly filled pages can be packed"),
    ],
)
def test_vacuum_reasons_come_from_the_free_pages(free_pages: int, reason: str) -> None:
    (step,) = plans.vacuum_steps(replace(SUMMARY, free_pages=free_pages), shared_file_system=False)
    assert step.reason == reason


def test_vacuum_needs_space_for_what_is_in_use_twice_where_temporary_files_share_it() -> None:
    (alone,) = plans.vacuum_steps(SUMMARY, shared_file_system=False)
    (shared,) = plans.vacuum_steps(SUMMARY, shared_file_system=True)
    assert alone.disk_needed == 690 * 4096
    assert shared.disk_needed == 2 * 690 * 4096


def test_locks_depend_on_the_journal_mode() -> None:
    locks = {info.operation: info.lock for info in plans.operation_infos(wal=False)}
    assert locks[Operation.VACUUM] == locks[Operation.REINDEX] == "blocks everyone"
    assert {info.lock for info in plans.operation_infos(wal=True)} == {"blocks writers"}
    vacuum, checkpoint = plans.vacuum_steps(replace(SUMMARY, journal_mode="wal"), shared_file_system=False)
    assert vacuum.lock == "blocks writers"
    assert checkpoint.command == "PRAGMA main.wal_checkpoint(TRUNCATE)"


def test_what_has_nothing_to_do_is_one_step_that_says_so() -> None:
    (analyze,) = plans.analyze_steps([], wal=False)
    assert (analyze.command, analyze.reason) == ("ANALYZE main", "there is no table, so there is nothing to collect")
    (reindex,) = plans.reindex_steps([], wal=False)
    assert (reindex.command, reindex.reason) == ("REINDEX", "there is no index, so there is nothing to rebuild")


def test_reasons_count_in_words() -> None:
    steps = plans.analyze_steps([Table("a", 1, 12_000), Table("b", 0, None)], wal=False)
    assert [s.reason for s in steps] == [
        "1 index, statistics from when it had 12,000 rows",
        "0 indexes, no statistics yet",
    ]
    (step,) = plans.optimize_steps([Table("a", 1, 5), Table("b", 0, None)], wal=False)
    assert step.reason == "1 of 2 tables without statistics; renews what is missing or stale"
    (step,) = plans.reindex_steps([Index('a"b', "t", False)], wal=False)
    assert step.command == 'REINDEX main."a""b"'


def test_a_checkpoint_that_could_not_finish_is_skipped_with_a_warning() -> None:
    assert checkpoint_result((0, 0, 0)).status is Status.COMPLETED
    result = checkpoint_result((1, 146, 2))
    assert result.status is Status.SKIPPED
    assert result.error is not None
    assert result.error.startswith("2 of 146 frames of the log were written back")
    assert result.warning
