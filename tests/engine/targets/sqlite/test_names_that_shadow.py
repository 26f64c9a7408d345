"""Tables and views with the names of SQLite's own objects change no result."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation, Options, Request
from engine.domain.statuses import Status
from engine.inspection import inspector
from engine.targets import disk_space
from engine.targets.sqlite.connection.names import quote
from engine.targets.sqlite.planning import planner
from engine.targets.sqlite.target import SqliteTarget
from tests.engine.targets.sqlite.a_session import run, statuses
from tests.sqlite_files import make_database, schema_surgery
from tests.tui.console.harness import Clock, entry, open_console

APPLICABLE = sorted({*SqliteTarget("/a.db").operations} - {Operation.CHECKPOINT, Operation.INCREMENTAL_VACUUM})


def _names() -> list[str]:
    """All that SQLite would let be called in the place of a table, by a name that a database can have, too."""
    with closing(sqlite3.connect(":memory:")) as db:
        modules = [name for (name,) in db.execute("PRAGMA module_list")]
        pragmas = [f"pragma_{name}" for (name,) in db.execute("PRAGMA pragma_list")]
    usual = ["dbstat", "json_each", "json_tree", "generate_series", "sqlite_dbpage", "sqlite_stmt", "bytecode"]
    return sorted({*modules, *pragmas, *usual} - {"fts5"}, key=len, reverse=True)


NAMES = _names()
# The columns that the real ones have, with values that are wrong.
LIES: dict[str, int | str] = {
    "encoding": "UTF-16le",
    "page_count": 7, "page_size": 3, "freelist_count": 5, "journal_mode": "wal", "auto_vacuum": 2,
    "schema": "main", "name": "item", "type": "table", "ncol": 1, "wr": 1, "strict": 0, "seq": 0, "cid": 0, "pk": 1,
    "origin": "pk", "partial": 0, "id": 1, "coll": "NOWHERE", "hidden": 0, "compile_options": "none", "unused": 10**9,
    "pagetype": "leaf", "aggregate": 1, "pgsize": 10**9, "ncell": 1, "mx_payload": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _a_machine_that_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "available_memory", lambda: 8_000_000_000)
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 20_000_000_000)


def innocent(name: str) -> str:
    """Another name of the same length, so that the database has the same pages."""
    start = "sqlite_" if name.startswith("sqlite_") else ""
    return f"{start}x{name[len(start) + 1 :]}"


def as_views(name: str) -> str:
    said = ", ".join(f"{value!r} AS {quote(column)}" for column, value in LIES.items())
    return f"CREATE VIEW {quote(name)} AS SELECT {said}"


def as_tables(name: str) -> str:
    return f"CREATE TABLE {quote(name)}({', '.join(map(quote, LIES))})"


def database(path: Path, definition: Callable[[str], str], called: Callable[[str], str]) -> Path:
    path.parent.mkdir()
    make_database(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for name in map(called, NAMES):
            made = name.replace("sqlite_", "sqliteX_")  # which only a hand that writes the schema can give
            db.execute(definition(made))
            if definition is as_tables:
                db.execute(f"INSERT INTO {quote(made)} VALUES ({', '.join(map(repr, LIES.values()))})")
            with schema_surgery(db):
                db.execute(
                    "UPDATE sqlite_schema SET name = ?1, tbl_name = ?1, sql = replace(sql, ?2, ?1) WHERE name = ?2",
                    (name, made),
                )
    return path


@pytest.fixture(params=[as_views, as_tables])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """The same database with names that shadow, and with innocent ones."""
    return (
        database(tmp_path / "shadowed" / "sales.db", request.param, lambda name: name),
        database(tmp_path / "innocent" / "sales.db", request.param, innocent),
    )


def plainly(told: object) -> str:
    """What was told, as if every name was innocent."""
    text = re.sub(r"[0-9a-f]{8}\.unfinished", "unfinished", repr(told)).replace("/shadowed", "/innocent")
    text = re.sub(r"'(backup_file|backup_source|file)': [^,}]+", r"'\1'", text)  # of each file its own
    for name in NAMES:
        text = text.replace(name, innocent(name))
    return text


async def told_of(path: Path) -> list[str]:
    """All that a look, advice and the plans of all operations say."""
    operations = SqliteTarget(str(path)).operations
    requests = [Request(target=str(path), operations=(operation,), options=Options()) for operation in operations]
    return [
        plainly(one)
        for one in (
            (await inspector.inspect(str(path))),
            *(await inspector.advise(str(path), TargetHistory(now=0), budget=None)),
            *[await inspector.plan(request) for request in requests],
        )
    ]


async def test_the_same_is_told_of_it_as_if_its_names_were_innocent(both: tuple[Path, Path]) -> None:
    shadowed, innocent_one = both
    for one, other in zip(await told_of(shadowed), await told_of(innocent_one), strict=True):
        assert one == other


@pytest.mark.parametrize("operation", APPLICABLE)
async def test_every_operation_does_the_same_to_it(operation: Operation, tmp_path: Path) -> None:
    pair = [
        database(tmp_path / place / "sales.db", as_views, called)
        for place, called in (("shadowed", str), ("innocent", innocent))
    ]
    done, other = [{plainly(c): plainly(r) for c, r in (await run(path, operation)).items()} for path in pair]
    assert done == other
    assert f"{Status.COMPLETED!r}" in " ".join(done.values())


async def test_the_console_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shadowed = database(tmp_path / "shadowed" / "sales.db", as_views, str)
    said = []
    for path in (shadowed, database(tmp_path / "innocent" / "sales.db", as_views, innocent)):
        monkeypatch.chdir(path.parent)
        async with open_console(path.with_name("jobs.db"), entry(), clock=Clock()) as console:
            operations = console.lines("#operations")
            await console.press("r")
            said.append([*console.lines("#page"), *operations])
    assert said[0] == said[1]
    assert len(said[0]) > 20


async def test_views_that_stand_on_each_other_are_never_compiled(tmp_path: Path) -> None:
    """A dozen of them, each with the one before in it twice, take SQLite a minute."""
    path = make_database(tmp_path / "sales.db", rows=10)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE VIEW v0 AS SELECT price FROM item")
        for number in range(1, 15):
            db.execute(f"CREATE VIEW v{number} AS SELECT a.price FROM v{number - 1} AS a, v{number - 1} AS b")
    assert await told_of(path)
    for operation in APPLICABLE:
        assert statuses(await run(path, operation)) == {Status.COMPLETED}
