"""No checkpoint of dbtend can lose a commit: each one runs beside a read transaction, whatever does it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.system.wal_checkpoint import checkpoint, loses_commits, write_back
from tests.sqlite_files import content, integrity, make_database

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
COMPILER = shutil.which("cc")
LARGE = "INSERT INTO item(note) SELECT hex(randomblob(6000)) FROM item LIMIT 1400"
Watched = Callable[..., list[str]]

USES_THE_STORE = """
import asyncio, sys
from pathlib import Path
from engine.store.sqlite.store import SqliteStore

async def commit(path):
    async with SqliteStore.open(path) as store:
        for _ in range(900):
            await store._may_write.run(lambda db: db.execute(
                "INSERT OR REPLACE INTO measured (target, state, at, found)"
                " VALUES ('t', 's', 1, hex(randomblob(20000)))"
            ))
        assert Path(f"{path}-wal").stat().st_size < 20_000_000

asyncio.run(commit(Path(sys.argv[1])))
"""
CHECKPOINTS_BY_ITSELF = f"""
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute({LARGE!r})
db.commit()
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None:
        pytest.skip("there is no C compiler")
    made = tmp_path_factory.mktemp("shim") / "checkpoint_locks.so"
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-o", made, HERE / "checkpoint_locks.c", "-ldl", "-lpthread"], check=True
    )
    return made


@pytest.fixture
def watched(shim: Path, tmp_path: Path) -> Watched:
    """Runs Python, and returns which checkpoints it made, and of what."""

    def run(*arguments: object) -> list[str]:
        log = tmp_path / "locks"
        log.write_text("")
        state = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        watching = {"LD_PRELOAD": str(shim), "CHECKPOINT_LOCKS": str(log), "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [sys.executable, *map(str, arguments)], env={**os.environ, **state, **watching}, check=True, cwd=ROOT
        )
        return log.read_text().splitlines()

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = make_database(tmp_path / "a.db", rows=3000, journal_mode="wal", auto_vacuum="incremental")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(LARGE)
        db.execute("DELETE FROM item WHERE rowid % 2")
    return path


def test_a_checkpoint_that_sqlite_makes_by_itself_is_not_guarded(watched: Watched, path: Path) -> None:
    """Else this file would test nothing."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT 1 FROM item").fetchone()
        assert f"UNGUARDED {path}-shm" in watched("-c", CHECKPOINTS_BY_ITSELF, path)


@pytest.mark.parametrize("operation", ["vacuum", "reindex", "incremental-vacuum", "analyze", "checkpoint"])
def test_r34_every_checkpoint_of_a_target_runs_beside_a_read_transaction(
    watched: Watched, path: Path, tmp_path: Path, operation: str
) -> None:
    before = content(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:  # else SQLite has it for itself when it closes
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("UPDATE item SET note = note || '' WHERE rowid % 4")
        store = tmp_path / "jobs.db"
        found = watched("-m", "tui.cli", "run", path, "--op", operation, "--store", store, "--force")
    assert f"guarded {path}-shm" in found or operation == "analyze"
    assert not [line for line in found if line.startswith("UNGUARDED")]
    assert content(path) == before


def test_r34_every_checkpoint_of_the_store_runs_beside_a_read_transaction(watched: Watched, tmp_path: Path) -> None:
    store = tmp_path / "state" / "jobs.db"
    found = watched("-c", USES_THE_STORE, store)
    assert set(found) == {f"guarded {store}-shm"}


def test_a_checkpoint_truncates_the_log_that_another_connection_has_open(path: Path) -> None:
    log = Path(f"{path}-wal")
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as db,
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
    ):
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE item SET note = note || 'x'")
        assert log.stat().st_size > 0
        before = content(path)
        busy, frames, written = checkpoint(db, reader, "PASSIVE")
        assert (busy, frames) == (0, written)
        assert write_back(db, reader) == (0, 0, 0)
        assert log.stat().st_size == 0
        assert not reader.in_transaction
        db.execute("BEGIN IMMEDIATE")  # a writer of others would make it go on as PASSIVE
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as third:
            assert write_back(third, reader)[0] == 1
        db.execute("COMMIT")
        assert content(path) == before
    assert integrity(path) == []


@pytest.mark.parametrize(
    ("version", "loses"),
    [
        ("3.6.23", False), ("3.7.0", True), ("3.44.5", True), ("3.44.6", False), ("3.45.0", True), ("3.46.1", True),
        ("3.50.6", True), ("3.50.7", False), ("3.51.2", True), ("3.51.3", False), ("3.53.0", False), ("4.0.0", False),
        ("3.7.17.1", True),
    ],
)  # fmt: skip
def test_which_versions_lose_commits(version: str, loses: bool) -> None:
    assert loses_commits(version) is loses
