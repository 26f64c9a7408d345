"""Names that SQL cannot express: operations on the whole database include these tables and indexes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.targets.sqlite.planning import operation_specs
from tests.engine.targets.sqlite.a_session import plan, run, statuses
from tests.sqlite_files import remove_index_entries


def database(path: Path, old: bytes, new: bytes) -> Path:
    """A sound one, with other bytes in its names: SQLite takes any, as a client in another encoding may send them."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            """
            CREATE TABLE t~able(a, b);
            CREATE INDEX i~ndex ON t~able(a);
            CREATE TABLE other(a UNIQUE);
            INSERT INTO t~able VALUES (1, 2), (3, 4), (5, 6);
            INSERT INTO other VALUES (1), (2);
        """.replace("t~able", '"t~able"').replace("i~ndex", '"i~ndex"')
        )
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


@pytest.fixture(params=[(b"t~able", b"t\xe9able"), (b"i~ndex", b"i\xe9ndex"), (b"t~able", b"\xed\xa0\x80ble")])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return database(tmp_path / "a.db", *request.param)


@pytest.mark.parametrize(
    ("operation", "command"),
    [
        (Operation.ANALYZE, "ANALYZE main"),
        (Operation.REINDEX, "REINDEX"),
        (Operation.CHECK, "PRAGMA main.integrity_check"),
    ],
)
async def test_the_whole_is_done_at_once(
    path: Path, operation: Operation, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation_specs, "CHECKED_IN_PARTS", 0)
    step = (await plan(path, operation, jobs=2 if operation is Operation.CHECK else None)).steps[0]
    assert (step.command, step.estimate is not None) == (command, True)
    assert operation is Operation.CHECK or "not valid UTF-8" in step.reason
    assert statuses(await run(path, operation)) == {Status.COMPLETED}


async def test_an_index_is_really_rebuilt(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database(path, b"i~ndex", b"i~ndex")
    remove_index_entries(path, "i~ndex")
    path.write_bytes(path.read_bytes().replace(b"i~ndex", b"i\xe9ndex"))
    assert statuses(await run(path, Operation.CHECK)) == {Status.COMPLETED, Status.FAILED}
    await run(path, Operation.REINDEX)
    assert statuses(await run(path, Operation.CHECK)) == {Status.COMPLETED}


async def test_a_backslash_in_a_name_is_text(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(r'CREATE TABLE "t\xe9able"(a)')
    assert [step.command for step in (await plan(path, Operation.ANALYZE)).steps] == [r'ANALYZE main."t\xe9able"']


async def test_a_full_text_index_is_not_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE VIRTUAL TABLE "f~text" USING fts5(a)')
    path.write_bytes(path.read_bytes().replace(b"f~text", b"f\xe9text"))
    planned = await plan(path, Operation.FTS_OPTIMIZE)
    assert planned.not_needed is None
    assert r"f\xe9text is not" in str(planned.refused)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE VIRTUAL TABLE sound USING fts5(a)")
    planned = await plan(path, Operation.FTS_OPTIMIZE)
    assert [step.object for step in planned.steps] == ["sound"]
    assert r"f\xe9text" in planned.warnings[0]
