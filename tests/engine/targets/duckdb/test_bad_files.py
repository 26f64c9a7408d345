"""Files that are no DuckDB database, or one that cannot be maintained: one sentence each, and the file untouched."""

from __future__ import annotations

import os
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
from engine.fleet.filters import is_filter_word
from engine.targets import disk_space, resolve
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


def _header(file: Path, **changes: tuple[int, bytes]) -> None:
    """Change the main header, with its checksum."""
    whole = bytearray(file.read_bytes())
    for at, value in changes.values():
        whole[at : at + len(value)] = value
    checksum = 5381
    for (word,) in struct.iter_unpack("<Q", whole[8:4096]):
        checksum ^= word * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    file.write_bytes(struct.pack("<Q", checksum) + whole[8:])


NEWER = {"storage": (12, struct.pack("<Q", 9_999)), "version": (52, b"v99.1.0\0")}
ENCRYPTED = {"flags": (20, struct.pack("<Q", 1))}


async def test_a_file_of_a_newer_version_or_with_encryption_is_refused_by_what_its_header_says(tmp_path: Path) -> None:
    _header(newer := make_duckdb(tmp_path / "a.duckdb"), **NEWER)
    error = await error_of(newer)
    assert isinstance(error, TargetRefusedError)
    assert "DuckDB v99.1.0 made it" in str(error)
    _header(encrypted := make_duckdb(tmp_path / "b.duckdb"), **ENCRYPTED)
    error = await error_of(encrypted)
    assert isinstance(error, TargetRefusedError)
    assert "it is encrypted" in str(error)


@pytest.mark.parametrize("word", ["encrypted", "corrupt checksum", "newer version of DuckDB", "Could not set lock"])
async def test_a_word_in_the_path_decides_nothing(tmp_path: Path, word: str) -> None:
    (tmp_path / word).mkdir()
    file = make_duckdb(tmp_path / word / f"{word}.duckdb")
    log = file.with_name(file.name + ".wal")
    log.write_bytes(os.urandom(100))
    log.chmod(0)
    if os.access(log, os.R_OK):  # root may read it
        log.unlink()
        file.write_bytes(b"id,name\n" * 5_000)
        assert isinstance(await error_of(file), TargetUnrecognizedError)
        return
    assert type(await error_of(file)) is TargetUnavailableError


async def test_a_file_of_another_engine_is_told_with_the_command_for_it(tmp_path: Path) -> None:
    file = make_duckdb(tmp_path / "x.db")
    error = await error_of(file)
    assert isinstance(error, TargetUnrecognizedError)
    assert (error.why, error.hint) == ("this is a DuckDB file", f"write duckdb://{file}")
    error = await error_of(sqlite := make_database(tmp_path / "y.duckdb"))
    assert (error.why, error.hint) == ("this is a SQLite file", f"write sqlite://{sqlite}")


async def test_a_path_that_duckdb_cannot_open_is_refused(tmp_path: Path) -> None:
    file = make_duckdb(tmp_path / "a.duckdb").rename(tmp_path / os.fsdecode(b"caf\xe9.duckdb"))
    for operation in (Operation.CHECK, Operation.BACKUP):
        error = await error_of(file, operation)
        assert isinstance(error, TargetRefusedError)
        assert "UTF-8" in str(error)
    error = await error_of(make_duckdb(tmp_path / "b.duckdb").rename(tmp_path / "what?.duckdb"))
    assert isinstance(error, TargetRefusedError)  # its log would be what.wal?.duckdb
    directory = tmp_path / os.fsdecode(b"caf\xe9")
    directory.mkdir()
    async with planned(make_duckdb(tmp_path / "b.duckdb"), Operation.BACKUP, Options(backup_to=str(directory))) as one:
        assert "not UTF-8" in (one.plan.refused or "")


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
    here = str(Path.cwd() / "a.db")
    for text in ("duckdb:a.db", f"duckdb:{here}", f"duckdb://{here}"):
        assert resolve(text).url == f"duckdb://{here}"
        assert not is_filter_word(text)
    for text in ("/srv/a.duckdb", "duckdb:/srv/a.duckdb", "duckdb:///srv/a.duckdb", "/srv/a.ddb", "duckdb:/srv/a.db"):
        target = resolve(text)
        assert target.engine == "duckdb"
        assert resolve(target.url).url == target.url
    assert resolve("sqlite:/srv/a.duckdb").engine == "sqlite"
    assert resolve("/srv/a.db").engine == "sqlite"
