"""VACUUM and REINDEX do not remove the last trace of rows that a table has lost, though no check has found that."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from engine import Engine
from engine.domain.damage import DamagedKind, DamageSource
from engine.domain.jobs import ChildJob
from engine.domain.requests import CheckLevel, Operation, Options, Request
from engine.domain.statuses import Reason, Status
from engine.targets.sqlite.reading.catalog import has_dbstat
from tests.sqlite_files import lose_leaf_of, remove_index_entries, schema_surgery

CHECK, VACUUM, REINDEX = Operation.CHECK, Operation.VACUUM, Operation.REINDEX
INCREMENTAL_VACUUM = Operation.INCREMENTAL_VACUUM
OF_ROWS = "(a INTEGER PRIMARY KEY, b TEXT)"
needs_dbstat = pytest.mark.skipif(not has_dbstat(), reason="this SQLite cannot describe single pages")


@pytest.fixture
async def engine(store_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(store_path, workers=1) as engine:
        yield engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lost.db"


def fill(path: Path, table: str = OF_ROWS, index: str = "(b)", *, before: str = "", rows: int = 5_000) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"{before}; CREATE TABLE gone (a); CREATE TABLE t {table}")
        if index:
            db.execute(f"CREATE INDEX i ON t{index}")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
        db.execute(f"{numbers.format(500)} INSERT INTO gone SELECT randomblob(3000) FROM n")
        db.execute(f"{numbers.format(rows)} INSERT INTO t(a, b) SELECT i, 'value ' || i FROM n")
        db.execute("DELETE FROM gone WHERE rowid % 3")


async def run(engine: Engine, path: Path, operation: Operation, **options: Any) -> ChildJob:
    request = Request(target=str(path), operations=(operation,), options=Options(**options))
    (job,) = await engine.submit([request])
    ((child,),) = [done.children for done in await engine.wait([job.id])]
    return child


def recovered(path: Path) -> int:
    """How many of the rows the `.recover` of the sqlite3 shell finds."""
    shell = which("sqlite3")
    if shell is None:
        pytest.skip("there is no sqlite3 shell")
    command = [shell, str(path), ".recover --ignore-freelist"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.count("'value ")


@needs_dbstat
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(
    ("table", "index"),
    [
        (OF_ROWS, "(b)"),
        (OF_ROWS, "(lower(b))"),
        (OF_ROWS, "(b) WHERE a > 4900"),
        ("(a INTEGER PRIMARY KEY, b TEXT, c DEFAULT 1)", "(b) WHERE c > 0"),
        (OF_ROWS, ""),
        (f"{OF_ROWS} WITHOUT ROWID", "(b)"),
        (f"{OF_ROWS} WITHOUT ROWID", ""),
    ],
)
async def test_r31_vacuum_leaves_rows_alone_that_only_recover_finds(
    engine: Engine, path: Path, table: str, index: str, swap: bool
) -> None:
    fill(path, table, index)
    lose_leaf_of(path, "t")
    before = path.read_bytes()
    assert recovered(path) > 4_990
    for _ in range(2):
        vacuum = await run(engine, path, VACUUM, swap=swap)
        assert (vacuum.status, vacuum.reason) == (Status.FAILED, Reason.DAMAGED)
        assert path.read_bytes() == before
        assert [one.source for one in await engine.known_damage(str(path))] == [DamageSource.OPERATION]
        assert (await run(engine, path, Operation.ANALYZE)).reason is Reason.DAMAGED
        await engine.accept_damage(str(path), "ann@host")  # which does not say that these rows may go
    forced = await run(engine, path, VACUUM, swap=swap, force=True)
    assert forced.status is Status.COMPLETED


@needs_dbstat
@pytest.mark.parametrize("level", CheckLevel)
async def test_r31_a_check_finds_pages_that_belong_to_nothing_also_beside_a_view(
    engine: Engine, path: Path, level: CheckLevel
) -> None:
    """SQLite 3.46 does not look for them there."""
    fill(path, index="")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE VIEW v AS SELECT * FROM t")
    assert (await run(engine, path, CHECK, check=level)).status is Status.COMPLETED
    with closing(sqlite3.connect(path, isolation_level=None)) as db, schema_surgery(db):
        db.execute("DELETE FROM sqlite_schema WHERE name = 't'")
    check = await run(engine, path, CHECK, check=level)
    assert (check.status, len(await engine.known_damage(str(path)))) == (Status.FAILED, 1)
    assert (await run(engine, path, VACUUM)).reason is Reason.DAMAGED


async def test_r31_what_vacuum_and_reindex_would_lose_is_told_by_one_rule(engine: Engine, path: Path) -> None:
    fill(path)
    lose_leaf_of(path, "t")
    told = set[str | None]()
    for operation in (VACUUM, REINDEX, VACUUM):
        refused = await run(engine, path, operation)
        assert (refused.status, refused.reason) == (Status.FAILED, Reason.DAMAGED)
        assert "index i of t has 5,000 entries for 4," in str(refused.error)
        told.add(refused.error)
        await engine.accept_damage(str(path), "ann@host")
    assert len(told) == 1


async def test_r31_vacuum_leaves_an_index_alone_that_lacks_entries_and_reindex_rebuilds_it(
    engine: Engine, path: Path
) -> None:
    fill(path)
    remove_index_entries(path, "i")
    assert (await run(engine, path, VACUUM)).reason is Reason.DAMAGED
    (known,) = await engine.known_damage(str(path))
    assert (known.object, known.kind) == ("i", DamagedKind.INDEX)
    for operation in (REINDEX, CHECK, VACUUM):
        assert (await run(engine, path, operation)).status is Status.COMPLETED


async def test_r31_an_index_that_lacks_entries_is_not_rebuilt_if_others_are_of_no_row(
    engine: Engine, path: Path
) -> None:
    fill(path)
    remove_index_entries(path, "i")
    lose_leaf_of(path, "t")
    reindex = await run(engine, path, REINDEX)
    assert (reindex.status, reindex.reason) == (Status.FAILED, Reason.DAMAGED)
    assert "match no row" in str(reindex.error)


async def test_r31_incremental_vacuum_loses_no_rows_that_only_recover_finds(engine: Engine, path: Path) -> None:
    """SQLite itself gives up where such a page would have to move."""
    fill(path, before="PRAGMA auto_vacuum = incremental")
    lose_leaf_of(path, "t")
    vacuum = await run(engine, path, INCREMENTAL_VACUUM)
    assert vacuum.status is Status.FAILED
    assert recovered(path) > 4_990
    assert [one.source for one in await engine.known_damage(str(path))] == [DamageSource.OPERATION]


def _with_reserved_bytes(path: Path) -> None:
    """An empty file, in which SQLite leaves 200 bytes of each page alone, as for checksums."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = incremental")
        db.execute("PRAGMA user_version = 1")
        db.execute("VACUUM")
    page = bytearray(path.read_bytes()[:4096])
    page[20] = 200
    page[28:32] = (1).to_bytes(4)
    page[52:56] = (1).to_bytes(4)
    page[105:107] = (4096 - 200).to_bytes(2)
    path.write_bytes(page)


@pytest.mark.parametrize(
    "before",
    [
        "PRAGMA page_size = 512",
        "PRAGMA page_size = 65536",
        "PRAGMA auto_vacuum = full",
        "PRAGMA journal_mode = wal",
        "",
    ],
)
@pytest.mark.parametrize("swap", [False, True])
async def test_vacuum_of_a_sound_file_is_not_refused(engine: Engine, path: Path, before: str, swap: bool) -> None:
    if not before:
        _with_reserved_bytes(path)
    fill(path, before=before, rows=200_000)
    vacuum = await run(engine, path, VACUUM, swap=swap)
    assert (vacuum.status, vacuum.error) == (Status.COMPLETED, None)


async def test_what_cannot_be_counted_keeps_no_file_from_vacuum(engine: Engine, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_function("of_application", 1, len, deterministic=True)
        db.execute(f"CREATE TABLE t {OF_ROWS}")
        db.execute("INSERT INTO t VALUES (1, 'value')")
        db.execute("CREATE INDEX i ON t(b) WHERE of_application(b) > 2")
        db.execute("CREATE VIRTUAL TABLE words USING fts5(a, content='')")
    vacuum = await run(engine, path, VACUUM)
    assert "of_application" in str(vacuum.error) or vacuum.status is Status.COMPLETED
    assert vacuum.reason is not Reason.DAMAGED
