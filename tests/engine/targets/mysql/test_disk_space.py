"""The disk of a server on this host: a rebuild that does not fit there is left out, in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import Operation, Options, Status
from engine.domain.statuses import Reason
from engine.targets import disk_space
from engine.targets.mysql.reading.disks import has_files
from engine.targets.mysql.reading.files import FileSize
from engine.targets.step_execution import NOTHING_CHANGED, StepContext
from tests.engine.targets.mysql.a_session import filled
from tests.engine.targets.server_session import connected, plan, run
from tests.mysql_databases import MySqlDatabase


def urls(database: MySqlDatabase) -> tuple[str, str]:
    """By the socket, and by the port of the loopback interface."""
    user = f"ann_{database.name}"
    for host in ("localhost", "127.0.0.1"):
        database(f"CREATE USER IF NOT EXISTS {user}@{host}", f"GRANT ALL ON *.* TO {user}@{host}")
    return database.url, database.server.tcp_url(database.name, user)


async def test_a_rebuild_says_what_is_free_where_it_writes(database: MySqlDatabase) -> None:
    filled(database, "Item", 2_000)
    database("CREATE TABLE part (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3")
    for url in urls(database):
        steps = (await plan(url, Operation.REBUILD)).steps
        free = os.statvfs(database.server.data)
        for step in steps:
            assert [need.directory for need in step.needs] == [str(database.server.data)]
            assert step.needs[0].bytes == step.disk_needed
            assert step.disk_free is not None
            assert 0.5 < step.disk_free / (free.f_bavail * free.f_frsize) < 2
        assert not (await plan(url, Operation.ANALYZE)).steps[0].needs


def test_a_directory_with_other_files_is_that_of_another_server(tmp_path: Path) -> None:
    (tmp_path / "item.ibd").write_bytes(b"\0" * 100)
    file, item, other = FileSize(100, 100), ("item", ""), ("other", "")
    paths = {item: "./item.ibd"}
    assert has_files(tmp_path, paths, {item: file, other: FileSize(300, 300)})
    assert not has_files(tmp_path, paths, {item: FileSize(200, 100)})
    assert not has_files(tmp_path, {**paths, other: "./other.ibd"}, {item: file, other: FileSize(300, 300)})
    assert not has_files(tmp_path, paths, {})
    assert not has_files(tmp_path, {item: "./a\0b.ibd"}, {item: file})


async def test_what_has_no_room_is_left_out_unless_forced(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(database, "large", 20_000)
    filled(database, "small")
    database("ANALYZE TABLE large")
    async with connected(database.url) as session:
        large, _ = (await session.plan(Operation.REBUILD, Options())).steps
        monkeypatch.setattr(disk_space, "free_bytes", lambda _: 2_000_000)
        result = await session.execute(large, StepContext())
        assert (result.status, result.reason, result.left) == (Status.FAILED, Reason.REFUSED, NOTHING_CHANGED)
        planned = await plan(database.url, Operation.REBUILD)
        assert [step.object for step in planned.steps] == ["small"]
        (warning,) = planned.warnings
        assert warning.startswith("left out: large: it needs ")
        assert "--force" in warning
        named = await plan(database.url, Operation.REBUILD, objects=("large", "small"))
        assert (planned.left_out, named.left_out) == (1, 1)
        refused = (await plan(database.url, Operation.REBUILD, objects=("large",))).refused
        assert refused is not None
        assert refused.startswith("large: it needs ")
        filled(database, "old", 20_000, engine="MyISAM")
        refused = (await plan(database.url, Operation.REPAIR, objects=("old",), confirmed=True)).refused
        assert "a repair that finds no space waits for it" in (refused or "")
        database("DROP TABLE old")
        forced = await run(database.url, Operation.REBUILD, force=True)
        assert [result.status for result in forced.values()] == [Status.COMPLETED] * 2
