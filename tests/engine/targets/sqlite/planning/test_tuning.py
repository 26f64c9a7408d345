from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.requests import Operation
from engine.targets.sqlite.planning.tuning import MEMORY_FOR_TEMPORARY, Tuning, as_text, pragmas, tuning
from tests.building import SQLITE_OPERATIONS
from tests.sqlite_files import make_database

GB = 1_000_000_000
DURABILITY = ("synchronous", "secure_delete", "journal_mode", "locking_mode", "fullfsync", "checkpoint_fullfsync")


def choose(
    operation: Operation,
    *,
    used_bytes: int = GB,
    memory: int | None = 16 * GB,
    processors: int = 4,
    local: bool = True,
    whole: bool = True,
) -> Tuning:
    return tuning(
        operation,
        used_bytes=used_bytes,
        size=used_bytes + GB // 2,
        memory=memory,
        processors=processors,
        local=local,
        whole=whole,
    )


def test_temporary_files_of_a_vacuum_are_in_memory_where_they_fit_with_room_to_spare() -> None:
    fits = choose(Operation.VACUUM, used_bytes=GB, memory=3 * GB)
    assert pragmas(fits)[0] == "PRAGMA temp_store = MEMORY"
    assert as_text(fits).startswith("temporary files in memory (1.10 GB of 3.00 GB available), ")


@pytest.mark.parametrize("memory", [2 * GB, None])
def test_temporary_files_stay_files_where_memory_is_short_or_unknown(memory: int | None) -> None:
    assert choose(Operation.VACUUM, used_bytes=GB, memory=memory).temporary == 0


def test_only_a_vacuum_has_its_temporary_files_in_memory() -> None:
    assert {operation for operation in SQLITE_OPERATIONS if choose(operation).temporary} == {Operation.VACUUM}


def test_reindex_sorts_with_helpers_and_keeps_changed_pages_back() -> None:
    chosen = choose(Operation.REINDEX, used_bytes=GB, memory=4 * GB)
    assert pragmas(chosen) == (
        "PRAGMA main.cache_spill = -16384",
        "PRAGMA threads = 3",
        "PRAGMA main.mmap_size = 1500000000",
    )
    assert as_text(chosen) == (
        "3 helper threads to sort, up to 16.8 MB of changed pages in memory, the file mapped into memory, "
        "changed pages written to the disk early"
    )


def test_one_processor_gets_no_helpers_and_one_table_at_a_time() -> None:
    assert choose(Operation.REINDEX, processors=1).threads == 0
    assert choose(Operation.CHECK, processors=1).parallel == 1


def test_a_check_goes_over_several_tables_at_once_but_not_over_very_many() -> None:
    assert choose(Operation.CHECK, processors=2).parallel == 2
    assert choose(Operation.CHECK, processors=64).parallel == 4


def test_a_file_that_is_read_or_rebuilt_as_a_whole_is_mapped() -> None:
    mapped = {operation for operation in SQLITE_OPERATIONS if choose(operation).mapped}
    assert mapped == {Operation.CHECK, Operation.ANALYZE, Operation.REINDEX, Operation.VACUUM}


def test_a_file_that_another_machine_may_change_is_not_mapped() -> None:
    assert not any(choose(operation, local=False).mapped for operation in SQLITE_OPERATIONS)


def test_only_what_reads_the_whole_file_reads_it_ahead() -> None:
    assert {o for o in SQLITE_OPERATIONS if choose(o).read_ahead} == {Operation.CHECK, Operation.ANALYZE}
    assert not any(choose(operation, whole=False).read_ahead for operation in SQLITE_OPERATIONS)


def test_a_small_file_is_not_read_ahead() -> None:
    small = tuning(Operation.CHECK, used_bytes=1_000_000, size=1_000_000, memory=GB, processors=4, local=True)
    assert not small.read_ahead


@pytest.mark.parametrize("operation", [Operation.CHECK, Operation.ANALYZE, Operation.REINDEX])
def test_a_file_that_fits_into_the_cache_of_sqlite_needs_no_settings(operation: Operation) -> None:
    def chosen(size: int) -> tuple[str, ...]:
        return pragmas(tuning(operation, used_bytes=size, size=size, memory=GB, processors=4, local=True))

    assert chosen(1_500_000) == ()
    assert chosen(2_500_000) != ()


def test_what_writes_much_writes_to_a_disk_of_this_machine_meanwhile() -> None:
    assert {o for o in Operation if choose(o).write_behind} == {Operation.VACUUM, Operation.REINDEX}
    assert not any(choose(operation, local=False).write_behind for operation in Operation)


@pytest.mark.parametrize("operation", Operation)
def test_where_nothing_is_known_of_the_machine_no_memory_is_taken(operation: Operation) -> None:
    chosen = choose(operation, memory=None, local=False)
    assert chosen.temporary == chosen.changes == chosen.mapped == 0


def test_what_is_as_sqlite_has_it_needs_no_command_and_no_word() -> None:
    assert pragmas(Tuning()) == ()
    assert as_text(Tuning()) == ""


@given(
    operation=st.sampled_from(SQLITE_OPERATIONS),
    used_bytes=st.integers(0, 1 << 50),
    memory=st.integers(0, 1 << 50),
    processors=st.integers(1, 1024),
)
def test_no_operation_takes_more_than_half_of_the_memory_available(
    operation: Operation, used_bytes: int, memory: int, processors: int
) -> None:
    chosen = choose(operation, used_bytes=used_bytes, memory=memory, processors=processors)
    assert (chosen.temporary + chosen.changes) * chosen.parallel <= memory / 2
    assert chosen.temporary in {0, round(used_bytes * MEMORY_FOR_TEMPORARY)}


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("memory", [None, GB, 4_294_967_296, 16 * GB, 10_000 * GB])
def test_sqlite_takes_the_settings_and_keeps_its_promises(
    tmp_path: Path, operation: Operation, memory: int | None
) -> None:
    path = make_database(tmp_path / "some.db", rows=100)
    chosen = choose(operation, memory=memory)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:

        def value(name: str) -> Any:
            (found,) = db.execute(f"PRAGMA {name}").fetchone() or (None,)
            return found

        promised = {name: value(name) for name in DURABILITY}
        for command in pragmas(chosen):
            db.execute(command).fetchall()
        assert {name: value(name) for name in DURABILITY} == promised
        assert value("temp_store") == (2 if chosen.temporary else 0)
        assert value("threads") == chosen.threads
        assert value("cache_spill") > 0, "spilling is off: memory has no bound"
        assert value("cache_spill") * value("page_size") <= max(chosen.changes, 2_048_000)
        assert bool(value("mmap_size")) == bool(chosen.mapped)
