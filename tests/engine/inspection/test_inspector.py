"""Inspections of a database that need no store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.errors import TargetError, TargetMissingError, TargetUnavailableError
from engine.inspection import inspector
from tests.sqlite_files import files_beside, make_database, rename_in_schema


def test_a_database_is_there_until_it_is_another_or_none(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    there = inspector.fingerprint(str(path))
    os.utime(path, (0, 0))
    assert inspector.fingerprint(f"sqlite://{path}") == there

    path.rename(tmp_path / "old.db")
    with pytest.raises(TargetMissingError):
        inspector.fingerprint(str(path))
    path.mkdir()
    with pytest.raises(TargetUnavailableError, match="a directory"):
        inspector.fingerprint(str(path))
    path.rmdir()
    make_database(path)
    assert inspector.fingerprint(str(path)) != there
    path.chmod(0)
    with pytest.raises(TargetUnavailableError, match="no permission"):
        inspector.fingerprint(str(path))


async def test_a_look_says_whether_the_database_may_be_written(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    assert (await inspector.inspect(str(path))).read_only == ""
    path.chmod(0o444)
    assert (await inspector.inspect(str(path))).read_only


async def test_a_look_that_leaves_no_trace_copes_with_a_schema_that_is_no_text(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", rows=20, journal_mode="wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        rename_in_schema(db, "item", b"\xff\xfe")
    with pytest.raises(TargetError, match="malformed database schema"):
        await inspector.inspect(str(path), read_only=True)


@pytest.mark.parametrize("look", [inspector.inspect, inspector.page_map])
async def test_nothing_is_left_in_a_directory_where_nothing_may_be_written(
    tmp_path: Path, look: Callable[[str], Awaitable[object]]
) -> None:
    """Root could, and a database with a write-ahead log has two more files while it is read."""
    path = make_database(tmp_path / "a.db", rows=50, journal_mode="wal")
    tmp_path.chmod(0o555)
    try:
        await look(str(path))
        assert files_beside(path) == {"a.db"}
    finally:
        tmp_path.chmod(0o755)
