"""Looks at a database that need no store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import look
from engine.errors import TargetUnavailableError
from tests.sqlite_files import make_database


def test_a_database_is_there_until_it_is_another_or_none(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    there = look.presence(str(path))
    os.utime(path, (0, 0))
    assert look.presence(f"sqlite://{path}") == there

    path.rename(tmp_path / "old.db")
    with pytest.raises(TargetUnavailableError, match="there is no such file"):
        look.presence(str(path))
    path.mkdir()
    with pytest.raises(TargetUnavailableError, match="this is a directory"):
        look.presence(str(path))
    path.rmdir()
    make_database(path)
    assert look.presence(str(path)) != there
    path.chmod(0)
    with pytest.raises(TargetUnavailableError, match="no permission to read it"):
        look.presence(str(path))


async def test_a_look_says_whether_the_database_may_be_written(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    assert (await look.inspect(str(path))).read_only == ""
    path.chmod(0o444)
    assert (await look.inspect(str(path))).read_only == "the file is read-only"
