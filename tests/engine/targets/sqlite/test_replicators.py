"""Programs that copy a database are known by their files: what rewrites the database says what it causes there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation
from engine.domain.thresholds import Thresholds
from engine.inspection import inspector
from engine.system.mounts import mount_of, parse_mounts
from engine.targets.sqlite.system import replicators
from engine.targets.sqlite.system.replicators import Replicator
from tests.engine.targets.sqlite.a_session import plan
from tests.sqlite_files import make_database

MARKS = {
    Replicator.LITESTREAM: (".app.db-litestream",),
    Replicator.LITEFS: ("app.db-pos",),
    Replicator.RQLITE: ("raft.db", "rsnapshots"),
    Replicator.SYNCTHING: (".stfolder",),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "app.db", rows=10, journal_mode="wal")


@pytest.mark.parametrize("name", MARKS)
async def test_vacuum_and_checkpoint_say_what_they_cause_and_need_a_yes(path: Path, name: Replicator) -> None:
    for mark in MARKS[name]:
        path.with_name(mark).mkdir()
    assert replicators.replicators(str(path)) == (name,)
    causes = f"{name} works on this database: {replicators.EFFECTS[name]}"
    for operation in (Operation.VACUUM, Operation.CHECKPOINT):
        assert (await plan(path, operation)).refused == f"{causes}. Use --force to go on"
        forced = await plan(path, operation, force=True)
        assert (forced.refused, causes in forced.warnings, bool(forced.steps)) == (None, True, True)
    assert (await plan(path, Operation.ANALYZE)).refused is None


async def test_advice_calls_for_neither_where_a_yes_is_needed(path: Path) -> None:
    limits = Thresholds(reclaim_soon=1, reclaim_soon_share=0.0, log_size=1, log_share=0.0)
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE filler(x); INSERT INTO filler VALUES (zeroblob(100000)); DROP TABLE filler")

        async def called_for() -> set[Operation]:
            found = await inspector.advise(str(path), TargetHistory(now=0), budget=None, limits=limits)
            return {one.operation for one in found if one.is_needed or one.covered_by}

        assert {Operation.VACUUM, Operation.CHECKPOINT} <= await called_for()
        path.with_name(".app.db-litestream").mkdir()
        assert not {Operation.VACUUM, Operation.CHECKPOINT} & await called_for()


async def test_one_file_of_rqlite_alone_says_nothing(path: Path) -> None:
    path.with_name("raft").mkdir()
    assert replicators.replicators(str(path)) == ()


@pytest.mark.parametrize(
    ("line", "kind", "found"),
    [
        ("40 1 0:50 / /srv rw - nfs4 server:/srv rw", "nfs", True),
        ("40 1 0:50 / /srv rw - fuse litefs rw", "litefs", True),
        ("40 1 0:50 / /srv rw - fuse.sshfs host: rw", "litefs", False),
        ("40 1 8:1 / /srv rw - ext4 /dev/nfs rw", "nfs", False),
    ],
)
def test_a_mount_tells_by_its_type_and_its_source(line: str, kind: str, found: bool) -> None:
    mount = mount_of("/srv/app.db", tuple(parse_mounts(line)))
    assert mount is not None
    assert replicators._is_of(mount, kind) is found
