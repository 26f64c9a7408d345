"""Collations and functions that only the application has: the other steps run, and the plan says which fail."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, Level, Operation, Options, Reason, Request, Status
from engine.domain.advice import needed
from engine.domain.jobs import ChildJob
from engine.targets.plans import Verdict
from tests.building import SQLITE_OPERATIONS
from tests.engine.targets.sqlite.a_session import plan, run, statuses

ROWS = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000)"
SOUND = f"CREATE TABLE sound(a, b); CREATE INDEX sound_a ON sound(a); INSERT INTO sound {ROWS} SELECT i, i FROM n;"
SPOILT = {
    "collation of an index": "CREATE TABLE t(a, b); CREATE INDEX i ON t(a COLLATE german)",
    "collation of a key": "CREATE TABLE t(a TEXT COLLATE german PRIMARY KEY, b)",
    "collation of a key without rowid": "CREATE TABLE t(a TEXT COLLATE german PRIMARY KEY, b) WITHOUT ROWID",
    "collation of a column": "CREATE TABLE t(a TEXT COLLATE german, b); CREATE INDEX i ON t(b)",
    "collation of a column without any index": "CREATE TABLE t(a TEXT COLLATE german, b)",
    "collation of a CHECK": "CREATE TABLE t(a CHECK (a > 0 COLLATE german), b); CREATE INDEX i ON t(b)",
    "function of an index": "CREATE TABLE t(a, b); CREATE INDEX i ON t(twice(a)); CREATE INDEX j ON t(b)",
    "function of a partial index": "CREATE TABLE t(a, b); CREATE INDEX i ON t(a) WHERE twice(b) > 3",
    "function of a column": "CREATE TABLE t(a, b, c AS (twice(a))); CREATE INDEX i ON t(c)",
    "function of a CHECK": "CREATE TABLE t(a, b CHECK (twice(b) > 0)); CREATE INDEX i ON t(b)",
}
NEITHER: frozenset[str] = frozenset({"collation of an index", "collation of a key", "collation of a key without rowid"})
"""Of which SQLite can neither look at the table nor analyze it."""


def make(path: Path, *scripts: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_collation("german", lambda a, b: (a > b) - (a < b))
        db.create_function("twice", 1, lambda value: value * 2, deterministic=True)
        for script in scripts:
            db.executescript(script)
    return path


@pytest.fixture(params=SPOILT, ids=lambda name: name.replace(" ", "-"))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path, kind: str) -> Path:
    return make(tmp_path / "a.db", SOUND, SPOILT[kind], f"INSERT INTO t(a, b) {ROWS} SELECT i, i FROM n")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as opened:
        yield opened


@pytest.mark.parametrize("operation", [Operation.OPTIMIZE, Operation.CHECK])
async def test_what_can_be_done_is_done_and_the_plan_names_what_is_not(
    path: Path, kind: str, operation: Operation
) -> None:
    planned = await plan(path, operation)
    assert planned.refused is None
    if kind in NEITHER:
        assert any(warning.startswith("t ") for warning in planned.warnings)
    assert statuses(await run(path, operation)) == {Status.COMPLETED}
    if operation is Operation.OPTIMIZE:
        with closing(sqlite3.connect(path)) as db:
            known = {table for (table,) in db.execute("SELECT DISTINCT tbl FROM sqlite_stat1")}
        assert "sound" in known
        assert ("t" in known) is (kind not in NEITHER)


@pytest.mark.parametrize("operation", [Operation.OPTIMIZE, Operation.CHECK])
async def test_where_nothing_can_be_done_it_is_refused(tmp_path: Path, operation: Operation) -> None:
    rows = f"INSERT INTO t(a, b) {ROWS} SELECT i, i FROM n"
    path = make(tmp_path / "a.db", SPOILT["collation of an index"], rows)
    planned = await plan(path, operation)
    assert planned.verdict is Verdict.REFUSE
    assert "collation sequence: german, " in (planned.refused or "")


async def test_damage_beside_what_cannot_be_looked_at_is_found(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", SOUND, SPOILT["collation of an index"])
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sound_a'")
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\0" * 4096)
    assert Status.FAILED in statuses(await run(path, Operation.CHECK))


async def test_what_vacuum_would_stumble_over_is_known_before_it_runs(path: Path) -> None:
    refused = (await plan(path, Operation.VACUUM)).refused
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        try:
            db.execute("VACUUM")
        except sqlite3.OperationalError:
            assert "only its application" in (refused or "")
        else:
            assert refused is None


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize("verify", [False, True])
async def test_a_backup_needs_nothing_of_the_application(
    path: Path, kind: str, journal_mode: str, verify: bool
) -> None:
    before = rows_and_header(path, journal_mode)
    copy = path.with_name("copy.db")
    results = await run(path, Operation.BACKUP, backup_to=str(copy), verify=verify)
    assert statuses(results) == {Status.COMPLETED}
    assert rows_and_header(copy, journal_mode) == before
    assert not [*copy.parent.glob("copy.db?*")]
    warned = " ".join(warning for result in results.values() for warning in result.warnings)
    assert ("t in it cannot be checked here" in warned) == (
        kind in {*NEITHER, "collation of a CHECK", "function of a CHECK"}
    )


async def test_a_verified_backup_is_made_where_nothing_can_be_checked(engine: Engine, tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", SPOILT["collation of an index"], f"INSERT INTO t(a, b) {ROWS} SELECT i, i FROM n")
    before, backup, after = await verified_backup(engine, path)
    assert backup.status is Status.COMPLETED, backup.error
    for check in (before, after):
        assert (check.status, check.reason) == (Status.SKIPPED, Reason.NOT_NEEDED)
    for child in (before, backup, after):
        assert any(map(re.compile(r"\bt\b.*german").search, child.warnings)), child.warnings
    facts = backup.after or {}
    assert (facts["backup_checked"], "backup_contents" in facts) == (False, True)
    with closing(sqlite3.connect(str(facts["backup"]))) as copy:
        assert copy.execute("SELECT count(*), sum(a) FROM t").fetchall() == [(3000, 4501500)]
    advice = {one.operation: one.level for one in await engine.advise(str(path), budget=None)}
    assert advice[Operation.CHECK] is Level.UNKNOWN


async def test_no_checked_backup_goes_for_one_that_could_not_be_checked(engine: Engine, tmp_path: Path) -> None:
    def backups() -> set[str]:
        return {entry.name for entry in tmp_path.iterdir() if ".backup-" in entry.name}

    path = make(tmp_path / "a.db", "CREATE TABLE t(a, b)")
    for _ in range(3):
        await verified_backup(engine, path)
    checked = backups()
    make(path, "CREATE INDEX i ON t(a COLLATE german)")
    for number in (1, 2):
        _, backup, _ = await verified_backup(engine, path, keep=1)
        assert backup.status is Status.COMPLETED, backup.error
        assert backups() >= checked
        assert len(backups()) == len(checked) + number
    unchecked = backups() - checked
    make(path, "DROP INDEX i")
    _, backup, _ = await verified_backup(engine, path, keep=1)
    assert backups() == {*unchecked, Path(str((backup.after or {})["backup"])).name}


async def verified_backup(engine: Engine, path: Path, keep: int | None = None) -> tuple[ChildJob, ...]:
    options = Options(verify=True, keep=keep)
    (job,) = await engine.submit([Request(target=str(path), operations=(Operation.BACKUP,), options=options)])
    (done,) = await engine.wait([job.id])
    assert done.status is Status.COMPLETED, [child.error for child in done.children]
    return done.children


def rows_and_header(path: Path, journal_mode: str) -> tuple[object, ...]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        ((mode,),) = db.execute(f"PRAGMA journal_mode = {journal_mode}")
        db.create_collation("german", lambda a, b: (a > b) - (a < b))
        db.create_function("twice", 1, lambda value: value * 2, deterministic=True)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        schema = db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
        return mode, schema, *(db.execute(f"SELECT a, b FROM {name}").fetchall() for name in ("t", "sound"))


async def test_a_nightly_run_of_what_is_needed_does_not_fail_and_comes_to_an_end(engine: Engine, path: Path) -> None:
    everything = Request(target=str(path), operations=SQLITE_OPERATIONS)
    for _ in range(5):
        request = needed(everything, await engine.advise(str(path), budget=None))
        if request is None:
            break
        (job,) = await engine.submit([request])
        (done,) = await engine.wait([job.id])
        assert done.status is Status.COMPLETED, [child.error for child in done.children]
    assert {one.operation for one in await engine.advise(str(path), budget=None) if one.is_urgent} == set()


async def test_advice_says_why_what_would_fail_is_not_chosen(engine: Engine, tmp_path: Path) -> None:
    waste = "CREATE TABLE big(x); INSERT INTO big VALUES (zeroblob(40000000)); DROP TABLE big"
    path = make(tmp_path / "a.db", SPOILT["collation of an index"], f"INSERT INTO t {ROWS} SELECT i, i FROM n", waste)
    advice = {one.operation: one for one in await engine.advise(str(path), budget=None)}
    for operation in (Operation.VACUUM, Operation.ANALYZE, Operation.CHECK):
        assert advice[operation].level is (Level.UNKNOWN if operation is Operation.CHECK else Level.NONE)
        assert "german" in advice[operation].reason
    assert "in free pages" in advice[Operation.VACUUM].reason
