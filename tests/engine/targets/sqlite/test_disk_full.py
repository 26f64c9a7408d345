"""On a disk that is too small the preflight refuses with numbers; with force the step fails, and no data is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from tests.building import SQLITE_OPERATIONS
from tests.engine.targets.sqlite.small_disks import Ending, can_mount, endings
from tests.sqlite_files import make_database

MB = 1_000_000
pytestmark = pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here, not even with unshare")


def template(directory: Path, mode: str) -> Path:
    return make_database(directory / "template.db", rows=20_000, journal_mode=mode)


def assert_refused_with_numbers(ending: Ending) -> None:
    assert (ending.status, ending.reason) == (Status.FAILED, Reason.REFUSED), ending
    assert re.search(r" [\d.]+ MB .* /.*, and ([\d.]+ [kM]B|0 bytes) are free", ending.said)
    assert ending.unharmed
    assert ending.left == ()


def assert_failed_cleanly(ending: Ending) -> None:
    assert (ending.status, ending.reason) == (Status.FAILED, Reason.OPERATION_ERROR), ending
    assert "was rolled back" in ending.said
    assert "internal error" not in ending.said
    assert ending.unharmed
    assert ending.left == ()


@pytest.mark.parametrize("mode", ["delete", pytest.param("wal", marks=pytest.mark.long)])
def test_the_disk_of_the_database_is_too_small(tmp_path: Path, mode: str) -> None:
    database = template(tmp_path, mode)
    ended = endings(
        tmp_path,
        database,
        [Operation.VACUUM, Operation.REINDEX, Operation.BACKUP],
        disk=database.stat().st_size + MB // 5,
        temporary=50 * MB,
        in_memory=True,
    )
    assert len(ended) == 6
    for ending in ended:
        assert ending.said.count("it needs ") == 1, ending.said  # also where there are many indexes
        if ending.forced:
            assert_failed_cleanly(ending)
        else:
            assert_refused_with_numbers(ending)


@pytest.mark.parametrize("mode", [pytest.param("delete", marks=pytest.mark.long), "wal"])
def test_the_disk_of_temporary_files_is_too_small(tmp_path: Path, mode: str) -> None:
    database = template(tmp_path, mode)
    ended = endings(tmp_path, database, [Operation.VACUUM], disk=50 * MB, temporary=MB // 5, in_memory=False)
    refused, failed = ended
    assert_refused_with_numbers(refused)
    assert "temporary files" in refused.said
    assert_failed_cleanly(failed)


def test_where_memory_is_enough_no_disk_is_needed_for_temporary_files(tmp_path: Path) -> None:
    (ending, _) = endings(
        tmp_path, template(tmp_path, "delete"), [Operation.VACUUM], disk=50 * MB, temporary=4096, in_memory=True
    )
    assert ending.status == Status.COMPLETED


def test_on_a_disk_without_any_room_everything_ends_in_words(tmp_path: Path) -> None:
    database = template(tmp_path, "delete")
    size = database.stat().st_size
    ended = endings(tmp_path, database, list(SQLITE_OPERATIONS), disk=size, temporary=4096, in_memory=True)
    assert {ending.operation for ending in ended} == set(SQLITE_OPERATIONS)
    for ending in ended:
        assert ending.unharmed, ending
        assert ending.left == (), ending
        assert "internal error" not in ending.said
        if ending.operation in {Operation.VACUUM, Operation.REINDEX, Operation.ANALYZE, Operation.BACKUP}:
            assert ending.status == Status.FAILED, ending
            assert "are free" in ending.said or "disk is full" in ending.said


def test_a_disk_without_any_room_is_named_where_a_log_cannot_even_be_read(tmp_path: Path) -> None:
    database = template(tmp_path, "wal")
    size = database.stat().st_size
    for ending in endings(tmp_path, database, [Operation.CHECK], disk=size, temporary=4096, in_memory=True):
        assert ending.status == "refused"
        assert "disk is full: " in ending.said
        assert ending.unharmed
