"""Nothing writes to a database that is known to be damaged, until a clean check, or a person, says otherwise."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from engine import Engine
from engine.config.model import TargetEntry
from engine.domain.advice import Level, needed
from engine.domain.damage import NO_CHECK_ON_RECORD, DamagedKind, DamageSource, describe
from engine.domain.jobs import ParentJob
from engine.domain.requests import OnFailure, Operation, Options, Request
from engine.domain.statuses import Reason, Status
from engine.domain.surveys import FleetLevel, Survey, SurveyCause
from engine.domain.thresholds import DEFAULT_THRESHOLDS
from engine.targets import database_files
from engine.targets.sqlite.running import checks
from engine.targets.sqlite.running.work import Work
from engine.targets.sqlite.system.birth_time import birth_time
from tests.sqlite_files import remove_index_entries, schema_surgery
from tui.presentation.survey_format import why

CHECK, VACUUM, REINDEX = Operation.CHECK, Operation.VACUUM, Operation.REINDEX
ROWS = 2_000


@pytest.fixture
async def engine(store_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(store_path, workers=1) as engine:
        yield engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table that lost rows, of which its index still has the values."""
    file = tmp_path / "lost.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
                   " INSERT INTO t SELECT i, 'value ' || i FROM n")  # fmt: skip
        db.execute("CREATE INDEX i ON t(b)")
    return file


def lose_leaf(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        ((page, size),) = db.execute(
            "SELECT max(pageno), (SELECT page_size FROM pragma_page_size) FROM dbstat"
            " WHERE name = 't' AND pagetype = 'leaf'"
        )
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


def lose_rows(path: Path) -> None:
    """As a VACUUM does that copies the table without what cannot be read, and the index whole."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        ((sql, root),) = db.execute("SELECT sql, rootpage FROM sqlite_schema WHERE name = 'i'").fetchall()
        with schema_surgery(db):
            db.execute("DELETE FROM sqlite_schema WHERE name = 'i'")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM t WHERE a > 1500")
        with schema_surgery(db):
            db.execute("INSERT INTO sqlite_schema VALUES ('index', 'i', 't', ?, ?)", (root, sql))


async def run(engine: Engine, path: Path, *operations: Operation, force: bool = False) -> ParentJob:
    request = Request(target=str(path), operations=operations, options=Options(force=force))
    (job,) = await engine.submit([request])
    (done,) = await engine.wait([job.id])
    return done


def rows_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT sum(1) FROM t INDEXED BY i").fetchone()[0])


async def test_r31_what_a_check_of_the_same_job_found_is_not_written_to(engine: Engine, path: Path) -> None:
    lose_leaf(path)
    before = path.read_bytes()
    done = await run(engine, path, CHECK, VACUUM)
    check, vacuum = done.children
    assert check.status is Status.FAILED
    assert (vacuum.status, vacuum.reason) == (Status.SKIPPED, Reason.DAMAGED)
    assert path.read_bytes() == before
    (again,) = (await run(engine, path, VACUUM)).children
    assert (again.status, again.reason) == (Status.FAILED, Reason.DAMAGED)
    assert path.read_bytes() == before


async def test_r31_what_a_backup_found_in_its_copy_is_not_written_to(
    engine: Engine, path: Path, tmp_path: Path
) -> None:
    lose_rows(path)
    (directory := tmp_path / "copies").mkdir()
    before = path.read_bytes()
    request = Request(target=str(path), operations=(Operation.BACKUP,), options=Options(backup_to=str(directory)))
    (job,) = await engine.submit([request])
    ((backup,),) = [one.children for one in await engine.wait([job.id])]
    assert backup.status is Status.COMPLETED
    (vacuum,) = (await run(engine, path, VACUUM)).children
    assert (vacuum.status, vacuum.reason) == (Status.FAILED, Reason.DAMAGED)
    assert path.read_bytes() == before


async def test_r31_damage_goes_with_a_file_that_is_renamed(engine: Engine, path: Path, tmp_path: Path) -> None:
    lose_leaf(path)
    assert (await run(engine, path, CHECK)).status is Status.FAILED
    renamed, again, copy = (tmp_path / name for name in ("renamed.db", "again.db", "copy.db"))
    copyfile(path, copy)
    path.rename(renamed)
    copyfile(copy, path)
    before = renamed.read_bytes()
    (vacuum,) = (await run(engine, renamed, VACUUM)).children
    assert (vacuum.status, vacuum.reason) == (Status.FAILED, Reason.DAMAGED)
    renamed.rename(again)
    plan = await engine.plan(Request(target=str(again), operations=(VACUUM,)))
    assert plan.operations[0].is_damaged
    assert (await survey_of(engine, again)).level is FleetLevel.CRITICAL
    assert again.read_bytes() == before
    # A copy is another file, of which nothing is known; but what is on record of a path stays until it is checked.
    assert not (await engine.plan(Request(target=str(copy), operations=(VACUUM,)))).operations[0].is_damaged
    assert (await engine.plan(Request(target=str(path), operations=(VACUUM,)))).operations[0].is_damaged


@pytest.mark.parametrize("tells_birth", [True, False])
async def test_r31_a_new_file_with_the_number_of_a_deleted_one_is_told_from_it(
    engine: Engine, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells_birth: bool
) -> None:
    new = tmp_path / "new.db"
    copyfile(path, kept := tmp_path / "kept.db")
    if not tells_birth:
        monkeypatch.setattr("engine.targets.sqlite.target.birth_time", lambda _: None)
    elif birth_time(str(path)) is None:
        pytest.skip("this file system does not tell when a file was made")
    lose_leaf(path)
    assert (await run(engine, path, CHECK)).status is Status.FAILED
    # A file system may number files as it likes: here the new file has the number of the deleted one.
    old = database_files.status_of(str(path))
    path.unlink()
    copyfile(kept, new)
    statuses = database_files.status_of
    monkeypatch.setattr(database_files, "status_of", lambda file: old if file == str(new) else statuses(file))

    async def is_damaged() -> bool:
        return (await engine.plan(Request(target=str(new), operations=(VACUUM,)))).operations[0].is_damaged

    assert await is_damaged() is not tells_birth
    await run(engine, new, CHECK)
    assert not await is_damaged()


async def test_r31_damage_that_a_survey_met_goes_with_a_file_that_is_renamed(
    engine: Engine, path: Path, tmp_path: Path
) -> None:
    lose_leaf(path)
    await engine.page_map(str(path))
    renamed = path.rename(tmp_path / "renamed.db")
    (vacuum,) = (await run(engine, renamed, VACUUM)).children
    assert (vacuum.status, vacuum.reason) == (Status.FAILED, Reason.DAMAGED)


async def test_r31_an_index_with_more_entries_than_its_table_is_not_rebuilt(engine: Engine, path: Path) -> None:
    lose_rows(path)
    (check,) = (await run(engine, path, CHECK)).children
    assert check.after is not None
    assert check.after["damaged_indexes"] == []
    assert "index i of t has 2,000 entries for 1,500 rows" in str(check.after["damage"])
    (reindex,) = (await run(engine, path, REINDEX)).children
    assert (reindex.status, reindex.reason) == (Status.FAILED, Reason.DAMAGED)
    assert rows_of(path) == ROWS
    (forced,) = (await run(engine, path, REINDEX, force=True)).children
    assert forced.status is Status.COMPLETED
    (vacuum,) = (await run(engine, path, VACUUM)).children
    assert vacuum.reason is Reason.DAMAGED  # no check has been clean since
    assert {child.status for child in (await run(engine, path, CHECK, VACUUM)).children} == {Status.COMPLETED}


@pytest.mark.parametrize(
    ("table", "index"),
    [
        ("(a INTEGER PRIMARY KEY, b TEXT)", "(b)"),
        ("(a INTEGER PRIMARY KEY, b TEXT) WITHOUT ROWID", "(b DESC)"),
        ("(a INTEGER PRIMARY KEY, b TEXT)", "(lower(b) || ')')"),
        ("(a INTEGER PRIMARY KEY, b TEXT)", "(b) WHERE a > 1000 AND b <> ')'"),
    ],
)
@pytest.mark.parametrize("operations", [(REINDEX,), (VACUUM, REINDEX)])
async def test_r31_an_index_of_lost_rows_is_not_rebuilt_though_no_check_has_found_it(
    engine: Engine, tmp_path: Path, table: str, index: str, operations: tuple[Operation, ...]
) -> None:
    path = tmp_path / "unchecked.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"CREATE TABLE t {table}")
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
                   " INSERT INTO t SELECT i, 'value ' || i FROM n")  # fmt: skip
        db.execute(f"CREATE INDEX i ON t{index}")
    lose_rows(path)

    def entries() -> int:
        with closing(sqlite3.connect(path)) as db:
            return int(db.execute("SELECT sum(ncell) FROM dbstat WHERE name = 'i'").fetchone()[0])

    before = entries()
    first, *others = (await run(engine, path, *operations)).children
    assert (first.status, first.reason) == (Status.FAILED, Reason.DAMAGED)
    assert {other.reason for other in others} <= {Reason.DAMAGED}
    assert entries() == before
    assert [one.source for one in await engine.known_damage(str(path))] == [DamageSource.OPERATION]
    (vacuum,) = (await run(engine, path, VACUUM)).children
    assert vacuum.reason is Reason.DAMAGED
    (forced,) = (await run(engine, path, REINDEX, force=True)).children
    assert forced.status is Status.COMPLETED
    assert entries() < before


async def test_r31_to_take_note_of_lost_rows_does_not_say_that_the_table_is_right(engine: Engine, path: Path) -> None:
    lose_rows(path)
    for operation in (CHECK, REINDEX):
        await run(engine, path, operation)
        assert await engine.accept_damage(str(path), "ann@host")
        (reindex,) = (await run(engine, path, REINDEX)).children
        assert (reindex.status, reindex.reason) == (Status.FAILED, Reason.DAMAGED)
        assert rows_of(path) == ROWS
    await engine.accept_damage(str(path), "ann@host")
    (forced,) = (await run(engine, path, REINDEX, force=True)).children
    assert forced.status is Status.COMPLETED


def change_value(path: Path, old: bytes, new: bytes) -> None:
    """In the row, and not in its index."""
    with closing(sqlite3.connect(path)) as db:
        ((size,),) = db.execute("PRAGMA page_size")
        leaves = db.execute("SELECT pageno FROM dbstat WHERE name = 't' AND pagetype = 'leaf'").fetchall()
    with path.open("r+b") as file:
        for (page,) in leaves:
            file.seek((page - 1) * size)
            content = file.read(size)
            file.seek((page - 1) * size)
            file.write(content.replace(old, new))


@pytest.mark.parametrize(
    ("table", "index", "old", "new"),
    [
        ("(a INTEGER PRIMARY KEY, b TEXT)", "(b)", b"value 777", b"valve 777"),
        ("(a INTEGER PRIMARY KEY, b TEXT)", "(b) WHERE a > 500", b"value 777", b"valve 777"),
        ("(a INTEGER PRIMARY KEY, b TEXT)", "(b)", b"value 777", b"val\xff\xfe 777"),
        ("(a INTEGER PRIMARY KEY, b TEXT, c AS (-a) STORED)", "(c, b DESC)", b"value 777", b"valve 777"),
        ("(a INTEGER PRIMARY KEY, b TEXT, c DEFAULT -1)", "(c)", b"value 777\xff", b"value 777\xfe"),
        ("(a TEXT, rowid INTEGER, b TEXT)", "(b)", b"value 777", b"valve 777"),
    ],
)
async def test_r31_an_index_of_values_that_no_row_has_is_not_rebuilt_once_a_check_has_found_it(
    engine: Engine, tmp_path: Path, table: str, index: str, old: bytes, new: bytes
) -> None:
    path = tmp_path / "checked.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"CREATE TABLE t {table}")
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
                   " INSERT INTO t(a, b) SELECT i, 'value ' || i FROM n")  # fmt: skip
        db.execute(f"CREATE INDEX i ON t{index}")
    change_value(path, old, new)
    copyfile(path, copy := tmp_path / "copy.db")
    assert (await run(engine, copy, REINDEX)).status is Status.COMPLETED  # it has as many entries as rows
    await run(engine, path, CHECK)
    before = path.read_bytes()
    for _ in range(2):
        (reindex,) = (await run(engine, path, REINDEX)).children
        assert (reindex.status, reindex.reason) == (Status.FAILED, Reason.DAMAGED)
        assert "1 of them match no row" in str(reindex.error)
        assert path.read_bytes() == before
        await engine.accept_damage(str(path), "ann@host")
    (forced,) = (await run(engine, path, REINDEX, force=True)).children
    assert forced.status is Status.COMPLETED


async def test_an_index_that_lacks_entries_or_holds_what_is_computed_is_rebuilt(engine: Engine, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE t ADD COLUMN c AS (length(b))")
        db.executescript("CREATE INDEX j ON t(c); CREATE INDEX k ON t(upper(b))")
    remove_index_entries(path, "i")
    (reindex,) = (await run(engine, path, REINDEX)).children
    assert reindex.status is Status.COMPLETED


async def test_r31_to_take_note_of_a_damaged_index_leaves_the_rows_of_others_counted(
    engine: Engine, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE u (a, b); INSERT INTO u SELECT a, b FROM t; CREATE INDEX j ON u(b)")
    remove_index_entries(path, "j")
    await run(engine, path, CHECK)
    (known,) = await engine.accept_damage(str(path), "ann@host")
    assert (known.object, known.kind) == ("j", DamagedKind.INDEX)
    lose_rows(path)
    (reindex,) = (await run(engine, path, REINDEX)).children
    assert (reindex.status, reindex.reason) == (Status.FAILED, Reason.DAMAGED)
    assert rows_of(path) == ROWS


async def test_r31_what_a_check_found_is_on_record_where_rows_could_not_be_counted(
    engine: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    lose_rows(path)
    monkeypatch.setattr(checks, "_compared", locked)
    (check,) = (await run(engine, path, CHECK)).children
    assert (check.status, check.reason) == (Status.FAILED, Reason.OPERATION_ERROR)
    assert check.after is not None
    assert check.after["damaged_indexes"] == []
    (reindex,) = (await run(engine, path, REINDEX)).children
    assert reindex.reason is Reason.DAMAGED


async def test_r31_what_a_check_found_is_on_record_where_its_window_closes_before_rows_are_counted(
    engine: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:

        async def locked(work: Work, index: str) -> object:
            work.context.window.closed.set()
            other.execute("BEGIN EXCLUSIVE")
            return await compared(work, index)

        lose_rows(path)
        compared = checks._compared
        monkeypatch.setattr(checks, "_compared", locked)
        request = Request(target=str(path), operations=(CHECK,), options=Options(lock_timeout=0.1))
        (job,) = await engine.submit([request])
        (check,) = (await engine.wait([job.id]))[0].children
    assert (check.status, check.reason) == (Status.FAILED, Reason.OPERATION_ERROR)
    (reindex,) = (await run(engine, path, REINDEX)).children
    assert reindex.reason is Reason.DAMAGED


async def test_r31_after_a_forced_write_nothing_is_narrowed_to_an_index(engine: Engine, path: Path) -> None:
    lose_rows(path)
    await run(engine, path, CHECK)
    await run(engine, path, Operation.ANALYZE, force=True)
    (one,) = await engine.known_damage(str(path))
    assert (one.object, one.kind, one.source) == ("", DamagedKind.DATABASE, DamageSource.CHECK)
    assert one.written_by is not None
    assert f"(#{one.written_by} wrote to it since)" in describe([one])
    plan = await engine.plan(Request(target=str(path), operations=(REINDEX,)))
    assert plan.operations[0].is_damaged
    advice = {item.operation: item for item in await engine.advise(str(path))}
    assert [name for name, item in advice.items() if item.is_needed] == [CHECK]


async def test_r31_damage_that_the_map_shows_is_known_to_advice_and_gate(engine: Engine, path: Path) -> None:
    lose_leaf(path)
    await engine.page_map(str(path))
    advice = {item.operation: item for item in await engine.advise(str(path))}
    assert advice[CHECK].urgency == "critical"
    (vacuum,) = (await run(engine, path, VACUUM)).children
    assert vacuum.reason is Reason.DAMAGED


async def test_a_file_without_damage_is_written_to(engine: Engine, path: Path) -> None:
    done = await run(engine, path, CHECK, VACUUM, REINDEX)
    assert done.status is Status.COMPLETED


async def test_r31_a_person_takes_note_of_damage_until_a_check_finds_it_again(engine: Engine, path: Path) -> None:
    lose_leaf(path)
    await run(engine, path, CHECK)
    known = await engine.accept_damage(str(path), "ann@host")
    assert [one.source for one in known] == [DamageSource.CHECK]
    assert await engine.known_damage(str(path)) == ()
    assert not (await engine.overview()).damaged
    (analyze,) = (await run(engine, path, Operation.ANALYZE)).children
    assert analyze.reason is not Reason.DAMAGED
    assert any("ann@host" in warning for warning in analyze.warnings)
    done = await run(engine, path, CHECK, VACUUM)
    assert done.children[1].reason is Reason.DAMAGED
    assert len(await engine.known_damage(str(path))) == 1


async def survey_of(engine: Engine, path: Path) -> Survey:
    entry = TargetEntry(name="lost", url=str(path))
    (found,) = [one.survey async for one in engine.survey([entry], refresh=True)]
    return found


async def test_r31_accepted_damage_is_shown_as_accepted_and_no_check_is_due_that_would_find_it_again(
    engine: Engine, path: Path
) -> None:
    lose_leaf(path)
    await run(engine, path, CHECK)
    assert (await survey_of(engine, path)).level is FleetLevel.CRITICAL
    await engine.accept_damage(str(path), "ann@host")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # as an application does each day
        db.execute("CREATE TABLE other (a)")
        db.execute("INSERT INTO other SELECT randomblob(900) FROM t LIMIT 1500")
        db.execute("DELETE FROM other")
    survey = await survey_of(engine, path)
    assert survey.level is FleetLevel.UNCHECKED  # to accept damage is no check
    (accepted,) = [one for one in survey.reasons if one.cause is SurveyCause.ACCEPTED_DAMAGE]
    assert accepted.facts["by"] == "ann@host"
    assert "ann@host" in why(survey)
    limits = replace(DEFAULT_THRESHOLDS, reclaim_soon=0, small=0)
    advice = await engine.advise(str(path), limits=limits)
    (check,) = [one for one in advice if one.operation is CHECK]
    assert check.facts["accepted_damage"] == ("",)
    assert (check.shown_level, "severity" in check.facts) == (Level.UNCHECKED, False)
    (reindex,) = [one for one in advice if one.operation is REINDEX]
    for one in (check, reindex):
        assert "ann@host took note " in one.reason
        assert "the check of #1 found damage: " in one.reason
    chosen = needed(Request(target=str(path), operations=tuple(Operation)), advice)
    assert chosen is not None
    assert VACUUM in chosen.operations
    assert CHECK not in chosen.operations


async def test_r31_rows_without_parents_beside_accepted_damage_call_for_no_check_that_finds_it_again(
    engine: Engine, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE p (a INTEGER PRIMARY KEY); CREATE TABLE c (a REFERENCES p);"
                         " INSERT INTO c VALUES (5), (6)")  # fmt: skip
    lose_leaf(path)
    await run(engine, path, CHECK)
    await engine.accept_damage(str(path), "ann@host")
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO p VALUES (9)")
        db.commit()
    asked = Request(target=str(path), operations=tuple(Operation))
    advice = await engine.advise(str(path))
    assert ["2 rows of c" in one.reason for one in advice if one.operation is CHECK] == [True]
    chosen = needed(asked, advice)
    assert chosen is None or CHECK not in chosen.operations
    advice = await engine.advise(str(path), limits=replace(DEFAULT_THRESHOLDS, full_check_every=0))
    chosen = needed(asked, advice)
    assert chosen is not None
    assert CHECK in chosen.operations


async def test_r31_a_check_of_accepted_damage_is_due_once_it_is_long_ago(engine: Engine, path: Path) -> None:
    lose_leaf(path)
    await run(engine, path, CHECK)
    await engine.accept_damage(str(path), "ann@host")
    advice = await engine.advise(str(path), limits=replace(DEFAULT_THRESHOLDS, full_check_every=0))
    assert CHECK in [one.operation for one in advice if one.is_needed]


async def test_what_a_newer_dbtend_recorded_is_not_taken_note_of_and_the_refusal_does_not_propose_it(
    engine: Engine, path: Path, store_path: Path
) -> None:
    lose_leaf(path)
    url = (await run(engine, path, CHECK)).target
    refused = (await run(engine, path, VACUUM)).children[0].error
    assert refused is not None
    assert f"fleet --accept-damage {path}" in refused
    with closing(sqlite3.connect(store_path)) as store:
        store.execute("INSERT INTO damage VALUES (?, 't', 'a source to come', 1, '{}')", (url,))
        store.commit()
    assert [one.source for one in await engine.accept_damage(str(path), "ann@host")] == [DamageSource.CHECK]
    assert [one.is_unreadable for one in await engine.known_damage(str(path))] == [True]
    (vacuum,) = (await run(engine, path, VACUUM)).children
    assert vacuum.reason is Reason.DAMAGED
    assert vacuum.error is not None
    assert "--accept-damage" not in vacuum.error
    assert await engine.accept_damage(str(path), "ann@host") == ()


async def test_r31_the_map_shows_damage_that_no_page_shows_any_more(engine: Engine, path: Path) -> None:
    lose_rows(path)
    await run(engine, path, CHECK)
    found = await engine.page_map(str(path))
    assert [one.source for one in found.known_damage] == [DamageSource.CHECK]


async def test_r31_it_is_told_what_is_written_to_by_force_alone(engine: Engine, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE other (a INTEGER PRIMARY KEY, b TEXT)")
    remove_index_entries(path, "i")
    (check,) = (await run(engine, path, CHECK)).children
    assert check.after is not None
    assert check.after["damaged_indexes"] == ["i"]

    async def told(*operations: Operation, **options: Any) -> list[bool]:
        chosen = Options(force=True, **options)
        request = Request(target=str(path), operations=operations, options=chosen)
        plan = await engine.plan(request)
        assert await engine.before_writing(request) == plan.before_writing
        assert len(plan.before_writing) == any(one.by_force for one in plan.operations)
        assert all((one.by_force in one.warnings) is bool(one.by_force) for one in plan.operations)
        return [bool(one.by_force) for one in plan.operations]

    assert await told(REINDEX) == [False]  # it cures what is damaged
    assert await told(VACUUM) == await told(Operation.ANALYZE) == [True]
    assert await told(CHECK, VACUUM) == [False, True]
    assert await told(CHECK, VACUUM, check_first=True) == [False, False]
    assert await told(CHECK, VACUUM, on_failure=OnFailure.STOP) == [False, False]
    forced = await run(engine, path, CHECK, VACUUM, force=True)
    assert ["--force" in "".join(child.warnings) for child in forced.children] == [False, True]


async def unchecked(engine: Engine, path: Path, *operations: Operation) -> bool:
    request = Request(target=str(path), operations=operations)
    plan = await engine.plan(request)
    assert plan.is_unchecked is (NO_CHECK_ON_RECORD in plan.warnings)
    assert plan.before_writing == await engine.before_writing(request) == (NO_CHECK_ON_RECORD,) * plan.is_unchecked
    return plan.is_unchecked


async def test_r31_a_plan_that_writes_without_a_check_on_record_says_so_and_its_job_does_not(
    engine: Engine, path: Path
) -> None:
    assert await unchecked(engine, path, VACUUM)
    assert await unchecked(engine, path, VACUUM, CHECK)
    assert not await unchecked(engine, path, CHECK, VACUUM)
    assert not await unchecked(engine, path, Operation.BACKUP)
    assert [child.warnings for child in (await run(engine, path, VACUUM)).children] == [()]
    assert await unchecked(engine, path, VACUUM)
    await run(engine, path, CHECK)
    assert not await unchecked(engine, path, VACUUM)


async def test_r31_a_check_that_could_not_look_and_one_of_another_file_are_none(engine: Engine, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        request = Request(target=str(path), operations=(CHECK,), options=Options(lock_timeout=0))
        (job,) = await engine.submit([request])
        (check,) = (await engine.wait([job.id]))[0].children
        assert check.reason is Reason.TARGET_BUSY
    assert await unchecked(engine, path, VACUUM)
    await run(engine, path, CHECK)
    copyfile(path, other := path.with_name("restored.db"))
    other.replace(path)
    assert await unchecked(engine, path, VACUUM)
