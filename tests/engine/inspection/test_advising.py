"""Advice end to end: real databases, the real engine, and the advised operations carried out."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from engine import Advice, CheckLevel, Engine, Level, Operation, Options, ParentJob, Request, Status
from engine.domain.advice import needed
from engine.domain.errors import TargetBusyError, TargetError, TargetUnavailableError
from engine.domain.statuses import Reason
from engine.domain.thresholds import Thresholds
from engine.targets.plans import OperationPlan
from tests.building import SQLITE_OPERATIONS
from tests.sqlite_files import files_beside, make_database, remove_index_entries, set_schema_sql, transaction


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as opened:
        yield opened


async def carried_out(engine: Engine, request: Request) -> ParentJob:
    (job,) = await engine.submit([request])
    (done,) = await engine.wait([job.id])
    return done


async def levels(engine: Engine, path: Path) -> dict[Operation, Level]:
    return {one.operation: one.level for one in await engine.advise(str(path), budget=None)}


async def of(engine: Engine, path: Path, operation: Operation) -> Advice:
    return next(one for one in await engine.advise(str(path), budget=None) if one.operation is operation)


async def test_what_is_needed_is_run_until_nothing_is(engine: Engine, sales: Path) -> None:
    everything = Request(target=str(sales), operations=SQLITE_OPERATIONS)
    ran: list[Operation] = []
    while (request := needed(everything, await engine.advise(str(sales), budget=None))) is not None:
        done = await carried_out(engine, request)
        assert done.status is Status.COMPLETED
        ran += request.operations
    assert ran == [Operation.CHECK, Operation.ANALYZE]


async def test_a_damaged_index_is_found_rebuilt_and_found_sound(engine: Engine, sales: Path) -> None:
    remove_index_entries(sales, "order")
    checked = await carried_out(engine, Request(target=str(sales), operations=(Operation.CHECK,)))
    assert checked.status is Status.FAILED
    found = await of(engine, sales, Operation.REINDEX)
    assert (found.level, found.objects) == (Level.NOW, ("order",))

    everything = Request(target=str(sales), operations=(Operation.VACUUM, Operation.REINDEX, Operation.CHECK))
    request = needed(everything, await engine.advise(str(sales)))
    assert request is not None
    assert request.operations == (Operation.REINDEX, Operation.CHECK)
    done = await carried_out(engine, request)
    assert done.status is Status.COMPLETED
    assert [step.object for step in done.children[0].steps] == ["order"]
    found = await of(engine, sales, Operation.REINDEX)
    assert found.level is Level.NONE
    assert "rebuilt since: order" in found.reason
    assert (await of(engine, sales, Operation.CHECK)).level is Level.SOON  # of the whole database, that is

    await carried_out(engine, Request(target=str(sales), operations=(Operation.CHECK,)))
    assert (await of(engine, sales, Operation.CHECK)).level is Level.NONE


async def test_a_damaged_index_is_rebuilt_alone_where_the_whole_database_is_analyzed(
    engine: Engine, sales: Path
) -> None:
    with closing(sqlite3.connect(sales)) as connection:
        connection.execute("CREATE INDEX other ON item (note)")
    remove_index_entries(sales, "order")
    await carried_out(engine, Request(target=str(sales), operations=(Operation.CHECK,)))
    everything = Request(target=str(sales), operations=(Operation.REINDEX, Operation.ANALYZE))
    request = needed(everything, await engine.advise(str(sales)))
    assert request is not None
    assert request.operations == everything.operations
    reindex, analyze = (await carried_out(engine, request)).children
    assert [step.object for step in reindex.steps] == ["order"]
    assert (analyze.status, analyze.reason) == (Status.FAILED, Reason.DAMAGED)  # no check has confirmed the rebuild
    found = await of(engine, sales, Operation.REINDEX)
    assert "rebuilt since: order" in found.reason


async def test_a_quick_check_says_nothing_of_indexes(engine: Engine, sales: Path) -> None:
    with closing(sqlite3.connect(sales, isolation_level=None)) as db:
        # The same entries in another order, so that counting or comparing them tells nothing.
        set_schema_sql(db, 'a"b', 'CREATE INDEX "a""b" ON item(price DESC)')
    quick = Request(target=str(sales), operations=(Operation.CHECK,), options=Options(check=CheckLevel.QUICK))
    assert (await carried_out(engine, quick)).status is Status.COMPLETED
    found = await of(engine, sales, Operation.REINDEX)
    assert found.level is Level.NONE
    assert found.reason.startswith("no full check")
    full = Request(target=str(sales), operations=(Operation.CHECK,))
    await carried_out(engine, full)
    assert (await of(engine, sales, Operation.REINDEX)).objects == ('a"b',)
    await carried_out(engine, replace(full, operations=(Operation.REINDEX, Operation.CHECK)))
    found = await of(engine, sales, Operation.REINDEX)
    assert (found.level, "no damaged index" in found.reason) == (Level.NONE, True)


async def test_a_damaged_index_keeps_all_but_its_rebuild_from_being_planned_until_a_check_is_clean(
    engine: Engine, sales: Path
) -> None:
    async def refused(*operations: Operation) -> list[Operation]:
        plan = await engine.plan(Request(target=str(sales), operations=operations))
        return [one.operation for one in plan.operations if one.is_damaged]

    remove_index_entries(sales, "order")
    assert await refused(Operation.VACUUM) == []
    await carried_out(engine, Request(target=str(sales), operations=(Operation.CHECK,)))
    assert await refused(Operation.VACUUM) == [Operation.VACUUM]
    assert await refused(Operation.VACUUM, Operation.REINDEX) == [Operation.VACUUM]
    (planned,) = (await engine.plan(Request(target=str(sales), operations=(Operation.REINDEX,)))).operations
    reasons = {step.object: step.reason for step in planned.steps}
    assert reasons["order"].endswith("found it damaged")
    assert reasons["my-index"].endswith("table item")
    assert await refused(Operation.REINDEX, Operation.VACUUM) == [Operation.VACUUM]
    assert await refused(Operation.REINDEX, Operation.CHECK, Operation.VACUUM) == []
    both = (Operation.REINDEX, Operation.CHECK)
    await carried_out(engine, Request(target=str(sales), operations=both))
    assert await refused(Operation.VACUUM) == []


@pytest.mark.parametrize("level", CheckLevel)
async def test_nothing_is_chosen_that_writes_to_a_damaged_file(engine: Engine, sales: Path, level: CheckLevel) -> None:
    everything = Request(target=str(sales), operations=SQLITE_OPERATIONS)

    async def planned(*operations: Operation) -> OperationPlan:
        return (await engine.plan(replace(everything, operations=operations))).operations[-1]

    assert not (await planned(Operation.ANALYZE)).is_damaged
    with closing(sqlite3.connect(sales)) as db:
        ((root, size),) = db.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 'group'"
        )
    with sales.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    check = Request(target=str(sales), operations=(Operation.CHECK,), options=Options(check=level))
    checked = await carried_out(engine, check)
    assert needed(everything, await engine.advise(str(sales))) is None
    assert (await planned(Operation.CHECK)).warnings == ()
    (copied,) = (await planned(Operation.BACKUP)).warnings
    assert copied.startswith(f"the backup may copy damage: the check of #{checked.id} found damage: ")
    assert (await planned(Operation.ANALYZE)).is_damaged
    (checked_before,) = (await planned(Operation.CHECK, Operation.ANALYZE)).warnings
    assert checked_before.startswith("runs only where the check before it finds no damage: ")
    before = sales.read_bytes()
    (vacuum,) = (await carried_out(engine, replace(everything, operations=(Operation.VACUUM,)))).children
    assert (vacuum.status, vacuum.reason, vacuum.steps) == (Status.FAILED, Reason.DAMAGED, ())
    assert sales.read_bytes() == before
    make_database(sales.with_name("restored.db")).replace(sales)
    assert needed(everything, await engine.advise(str(sales))) == replace(
        everything, operations=(Operation.CHECK,), options=Options(check=CheckLevel.FULL)
    )


async def test_rows_without_their_parents_are_no_damage_and_no_clean_check(engine: Engine, sales: Path) -> None:
    with closing(sqlite3.connect(sales)) as db:
        db.execute("CREATE TABLE bill(item INTEGER REFERENCES 'group'(id))")
        db.execute("INSERT INTO bill VALUES (-1)")
        db.commit()
    checked = await carried_out(engine, Request(target=str(sales), operations=(Operation.CHECK,)))
    assert checked.status is Status.FAILED
    orphan = "a row of bill refers to a missing row of group (rowid 1)"
    found = await of(engine, sales, Operation.CHECK)
    assert (found.level, found.facts["found"]) == (Level.SOON, orphan)
    assert found.needs_manual_fix
    assert found.reason.startswith(f"found 1 orphan (#{checked.id}): ")
    everything = Request(target=str(sales), operations=SQLITE_OPERATIONS)
    request = needed(everything, await engine.advise(str(sales)))
    assert request is not None
    assert Operation.CHECK not in request.operations
    assert (await of(engine, sales, Operation.REINDEX)).level is Level.NONE
    with closing(sqlite3.connect(sales)) as db:
        db.execute("DELETE FROM bill")
        db.commit()
    found = await of(engine, sales, Operation.CHECK)
    assert found.is_needed
    assert f"(#{checked.id}), and the database has changed since: " in found.reason
    await carried_out(engine, Request(target=str(sales), operations=(Operation.CHECK,)))
    found = await of(engine, sales, Operation.CHECK)
    assert (found.level, found.facts["found"]) == (Level.NONE, None)


async def test_a_look_is_no_change_while_a_reader_keeps_the_log(engine: Engine, tmp_path: Path) -> None:
    path = make_database(tmp_path / "wal.db", journal_mode="wal")
    with transaction(path, "DEFERRED"):
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE bill(item INTEGER REFERENCES 'group'(id))")
            db.execute("INSERT INTO bill VALUES (-1)")
            db.commit()
        await carried_out(engine, Request(target=str(path), operations=(Operation.CHECK,)))
        log = path.with_name("wal.db-wal")
        log.chmod(log.stat().st_mode)  # as SQLite does with its owner, where root opens it
        assert not (await of(engine, path, Operation.CHECK)).is_needed
        with closing(sqlite3.connect(path)) as db:
            db.execute("DELETE FROM bill")
            db.commit()
        assert (await of(engine, path, Operation.CHECK)).is_needed


async def test_after_a_vacuum_half_filled_pages_are_known_without_a_look(
    engine: Engine, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.advising.collect.BYTES_A_SECOND", 1)
    limits = Thresholds(reclaim_soon=1)

    async def vacuum() -> Advice:
        return next(o for o in await engine.advise(str(sales), limits=limits) if o.operation is Operation.VACUUM)

    assert (await vacuum()).level is Level.SOON
    operations = (Operation.VACUUM, Operation.ANALYZE)
    done = await carried_out(engine, Request(target=str(sales), operations=operations))
    assert done.status is Status.COMPLETED
    found = await vacuum()
    assert found.level is Level.NONE
    assert found.reason.startswith(f"vacuumed by #{done.id}, ")
    with closing(sqlite3.connect(sales)) as db:
        db.execute("DELETE FROM item WHERE rowid % 2")
        db.commit()
    assert (await vacuum()).level is Level.UNKNOWN


async def test_a_copy_that_was_put_in_its_place_is_not_taken_for_what_was_vacuumed_or_checked(
    engine: Engine, sales: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.advising.collect.BYTES_A_SECOND", 1)
    limits = Thresholds(reclaim_soon=1, reclaim_soon_share=0.5)
    with closing(sqlite3.connect(sales)) as db:
        db.execute("CREATE TABLE bill(item INTEGER REFERENCES 'group'(id))")
        db.execute("INSERT INTO bill VALUES (-1)")
        db.commit()
    older = shutil.copy2(sales, tmp_path / "older.db")
    await carried_out(engine, Request(target=str(sales), operations=(Operation.VACUUM, Operation.CHECK)))

    async def seen() -> tuple[Level, bool]:
        advice = {one.operation: one for one in await engine.advise(str(sales), limits=limits)}
        return advice[Operation.VACUUM].level, advice[Operation.CHECK].is_needed

    assert await seen() == (Level.NONE, False)
    shutil.copy2(older, sales)  # with the time at which it was written
    assert await seen() == (Level.UNKNOWN, True)


async def test_a_backup_is_remembered(engine: Engine, sales: Path, tmp_path: Path) -> None:
    assert (await of(engine, sales, Operation.BACKUP)).facts["days_since_backup"] is None
    options = Options(backup_to=str(tmp_path / "copy.db"))
    done = await carried_out(engine, Request(target=str(sales), operations=(Operation.BACKUP,), options=options))
    assert done.status is Status.COMPLETED
    assert (await of(engine, sales, Operation.BACKUP)).facts["days_since_backup"] == 0


async def test_every_name_of_a_database_has_the_same_past(engine: Engine, sales: Path, tmp_path: Path) -> None:
    await carried_out(engine, Request(target=str(sales), operations=(Operation.CHECK,)))
    (tmp_path / "link.db").symlink_to(sales)
    assert (await of(engine, tmp_path / "link.db", Operation.CHECK)).level is Level.NONE


async def test_advice_writes_nothing(engine: Engine, sales: Path) -> None:
    before, beside = sales.read_bytes(), files_beside(sales)
    await engine.advise(str(sales), budget=None)
    assert sales.read_bytes() == before
    assert files_beside(sales) == beside
    assert await engine.history() == []


async def test_advice_on_a_database_that_may_only_be_read(engine: Engine, sales: Path) -> None:
    sales.chmod(0o444)
    assert len(await engine.advise(str(sales))) == len(SQLITE_OPERATIONS)


async def test_what_cannot_be_looked_at(engine: Engine, tmp_path: Path, sales: Path) -> None:
    with pytest.raises(TargetUnavailableError, match="no such file"):
        await engine.advise(str(tmp_path / "missing.db"))
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    with pytest.raises(TargetError, match="a SQLite database"):
        await engine.advise(str(tmp_path / "text.db"))
    with transaction(sales, "EXCLUSIVE"), pytest.raises(TargetBusyError):
        await engine.advise(str(sales))


async def test_a_schema_that_cannot_be_read_is_said_in_a_sentence(engine: Engine, sales: Path) -> None:
    with closing(sqlite3.connect(sales)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE group(' WHERE name = 'group'")
        db.commit()
    with pytest.raises(TargetError, match=r"malformed|damaged"):
        await engine.advise(str(sales))


async def test_a_plan_goes_by_how_long_it_took_before(engine: Engine, sales: Path) -> None:
    request = Request(target=str(sales), operations=(Operation.REINDEX,))
    (before,) = (await engine.plan(request)).operations
    assert before.estimated_from == "a first guess: by size alone"
    done = await carried_out(engine, request)
    (operation,) = (await engine.plan(request)).operations
    assert "earlier runs" in operation.estimated_from
    (child,) = done.children
    durations = {step.command: (step.finished_at or 0) - step.started_at for step in child.steps}
    assert {step.command: 1e6 * (step.estimate or 0) for step in operation.steps} == pytest.approx(durations, abs=1)


@pytest.mark.parametrize("level", CheckLevel)
async def test_a_clean_check_says_nothing_of_a_file_that_was_put_there_since(
    engine: Engine, sales: Path, level: CheckLevel
) -> None:
    check = Request(target=str(sales), operations=(Operation.CHECK,), options=Options(check=level))
    done = await carried_out(engine, check)
    assert (done.children[0].after or {})["file"] == (await engine.extent(str(sales))).fingerprint
    assert (await of(engine, sales, Operation.CHECK)).reason.count("last") == (2 if level is CheckLevel.FULL else 1)

    kept = sales.rename(sales.with_name("kept.db"))
    make_database(sales)
    found = await of(engine, sales, Operation.CHECK)
    assert (found.level, found.check) == (Level.SOON, CheckLevel.QUICK)
    assert "a different file" in found.reason
    reindex = await of(engine, sales, Operation.REINDEX)
    assert reindex.reason.startswith("no full check")

    kept.replace(sales)
    assert "of this file" not in (await of(engine, sales, Operation.CHECK)).reason


async def test_a_check_that_does_not_say_of_which_file_it_was_counts_still(engine: Engine, sales: Path) -> None:
    check = Request(target=str(sales), operations=(Operation.CHECK,))
    done = await carried_out(engine, check)
    with closing(sqlite3.connect(sales.with_name("state") / "jobs.db")) as db:
        db.execute("UPDATE child_job SET after = json_remove(after, '$.file') WHERE parent_id = ?", (done.id,))
        db.commit()
    make_database(sales.with_name("other.db")).replace(sales)
    assert (await of(engine, sales, Operation.CHECK)).level is Level.NONE
