"""Files that are no DuckDB database, or one that cannot be maintained: one sentence each, and the file untouched."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from engine.domain.errors import (
    TargetDamagedError,
    TargetError,
    TargetMissingError,
    TargetRefusedError,
    TargetUnavailableError,
    TargetUnrecognizedError,
)
from engine.domain.requests import Operation, Options
from engine.targets import disk_space, resolve
from engine.targets.duckdb.connection import target_error
from tests.duckdb_files import make_duckdb
from tests.engine.targets.duckdb.test_operations import planned
from tests.sqlite_files import make_database


async def error_of(path: Path, operation: Operation = Operation.CHECK) -> TargetError:
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(TargetError) as caught:
        async with planned(path, operation):
            pass
    assert (path.read_bytes() if path.is_file() else None) == before
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("operation", [Operation.CHECK, Operation.COMPACT])
async def test_what_is_no_duckdb_file_is_named(tmp_path: Path, operation: Operation) -> None:
    sqlite = make_database(tmp_path / "a.duckdb")
    assert isinstance(await error_of(sqlite, operation), TargetUnrecognizedError)
    (text := tmp_path / "text.duckdb").write_text("id,name\n" * 5_000)
    assert isinstance(await error_of(text, operation), TargetUnrecognizedError)
    (empty := tmp_path / "empty.duckdb").touch()
    assert isinstance(await error_of(empty, operation), TargetUnrecognizedError)
    (directory := tmp_path / "directory.duckdb").mkdir()
    assert isinstance(await error_of(directory, operation), TargetUnrecognizedError)
    assert isinstance(await error_of(tmp_path / "none.duckdb", operation), TargetMissingError)
    assert not (tmp_path / "none.duckdb").exists()


async def test_a_file_that_was_cut_or_scribbled_on_is_damaged(tmp_path: Path) -> None:
    file = make_duckdb(tmp_path / "a.duckdb")
    whole = file.read_bytes()
    file.write_bytes(whole[:8_000])
    assert isinstance(await error_of(file), TargetDamagedError)
    file.write_bytes(whole[:12] + struct.pack("<Q", 9_999) + whole[20:])
    assert isinstance(await error_of(file), TargetDamagedError | TargetRefusedError)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "Trying to read a database file with storage version number 99, but we can only read storage versions"
            " between 64 and 68.",
            TargetRefusedError,
        ),
        (
            'Error opening "a": file was written with a storage version greater than the latest version supported by'
            " this DuckDB instance. Try opening the file with a newer version of DuckDB.",
            TargetRefusedError,
        ),
        ('Cannot open encrypted database "a" without a key', TargetRefusedError),
        ("Corrupt database file: computed checksum 1 does not match stored checksum 2", TargetDamagedError),
        ("IO Error: Permission denied", TargetUnavailableError),
    ],
)
def test_what_duckdb_says_of_a_file_has_its_kind(text: str, kind: type[TargetError]) -> None:
    import duckdb

    assert type(target_error("/srv/a.duckdb", duckdb.IOException(text))) is kind


async def test_without_room_for_the_copy_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_duckdb(tmp_path / "a.duckdb")
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 100_000)
    for operation in (Operation.COMPACT, Operation.BACKUP):
        async with planned(file, operation) as running:
            assert "are free" in (running.plan.refused or "")
        async with planned(file, operation, Options(force=True)) as running:
            assert running.plan.refused is None


async def test_a_read_only_file_is_checked_and_not_written(tmp_path: Path) -> None:
    file = make_duckdb(tmp_path / "a.duckdb")
    file.chmod(0o444)
    assert isinstance(await error_of(file, Operation.COMPACT), TargetRefusedError)
    async with planned(file, Operation.CHECK) as running:
        assert running.plan.refused is None


def test_its_names() -> None:
    for text in ("/srv/a.duckdb", "duckdb:/srv/a.duckdb", "duckdb:///srv/a.duckdb", "/srv/a.ddb", "duckdb:/srv/a.db"):
        target = resolve(text)
        assert target.engine == "duckdb"
        assert resolve(target.url).url == target.url
    assert resolve("sqlite:/srv/a.duckdb").engine == "sqlite"
    assert resolve("/srv/a.db").engine == "sqlite"
