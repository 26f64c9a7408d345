"""Every operation on real DuckDB files, from plan to effect."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from engine.domain.errors import TargetBusyError, TargetError, UsageError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.domain.steps import REPLACED_FILE
from engine.targets import resolve
from engine.targets.duckdb.planner import Method
from engine.targets.step_execution import StepContext, StepResult
from tests.duckdb_files import content, make_duckdb, opened_elsewhere, run_sql

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from engine.domain.steps import Facts
    from engine.targets.plans import OperationPlan
    from engine.targets.session import PlannedOperation

ALL = resolve("/a.duckdb").operations


@asynccontextmanager
async def planned(path: Path, operation: Operation, options: Options | None = None) -> AsyncIterator[PlannedOperation]:
    target = resolve(str(path))
    async with target.connect(lock_timeout=0.2, writing=target.operations[operation].writes) as session:
        await session.lock()
        yield await session.plan(operation, options or Options())


async def run(
    path: Path, operation: Operation, options: Options | None = None
) -> tuple[OperationPlan, Sequence[StepResult], Facts]:
    async with planned(path, operation, options) as running:
        await running.facts()
        results = [await running.execute(step, StepContext()) for step in running.plan.steps]
        return running.plan, results, await running.facts()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make_duckdb(tmp_path / "shop.duckdb")


@pytest.mark.parametrize("operation", ALL)
async def test_every_operation_completes_and_leaves_the_content_alone(file: Path, operation: Operation) -> None:
    run_sql(file, "INSERT INTO item (id) VALUES (-1)")
    before, mode = content(file), file.stat().st_mode
    plan, results, _ = await run(file, operation)
    assert plan.steps or plan.not_needed
    assert {result.status for result in results} <= {Status.COMPLETED}
    assert content(file) == before
    assert file.stat().st_mode == mode
    new = {path.name for path in file.parent.iterdir()} - {file.name}
    assert all(".backup-" in name for name in new)
    assert bool(new) is (operation is Operation.BACKUP)


async def test_compact_gives_free_blocks_back_and_says_which_file_it_replaced(tmp_path: Path) -> None:
    file = make_duckdb(tmp_path / "it's full.duckdb", is_bloated=True)
    before, size, old = content(file), file.stat().st_size, resolve(str(file)).fingerprint()
    file.chmod(0o640)
    _, (result,), facts = await run(file, Operation.COMPACT)
    assert result.status is Status.COMPLETED
    assert file.stat().st_size < size / 4
    assert content(file) == before
    assert file.stat().st_mode & 0o777 == 0o640
    assert facts[REPLACED_FILE] == old
    assert facts["free_blocks"] == 0


async def test_compact_changes_nothing_where_the_copy_is_not_the_same(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.targets.duckdb import contents

    monkeypatch.setattr(contents, "HASHES", "SELECT random() FROM {table}")
    before, inode = content(file), file.stat().st_ino
    _, (result,), _ = await run(file, Operation.COMPACT)
    assert (result.status, result.error) == (
        Status.FAILED,
        "the copy is not used, as the rows of item are not the same",
    )
    assert (content(file), file.stat().st_ino, len([*file.parent.iterdir()])) == (before, inode, 1)


@pytest.mark.parametrize("name", ["memory", "dbtend_copy", "shop_copy", "system", "temp", "main", "it's \" a#c%d.e"])
async def test_files_whose_names_collide_with_others_work(tmp_path: Path, name: str) -> None:
    file = make_duckdb(tmp_path / "shop.duckdb").rename(tmp_path / f"{name}.duckdb")
    before = content(file)
    for operation in ALL:
        plan, results, _ = await run(file, operation)
        assert plan.steps or plan.not_needed
        assert {result.status for result in results} <= {Status.COMPLETED}, results
    assert content(file) == before
    (backup,) = (path for path in tmp_path.iterdir() if path != file)
    assert content(backup) == before


_TRIGGERS = (
    "CREATE TABLE seen (what VARCHAR, id INTEGER)",
    'CREATE TRIGGER "it\'s "" new" AFTER INSERT ON item FOR EACH ROW INSERT INTO seen VALUES (\'new\', NEW.id)',
    "CREATE TRIGGER gone AFTER DELETE ON item REFERENCING OLD TABLE AS old FOR EACH STATEMENT"
    " INSERT INTO seen SELECT 'gone', id FROM old",
)
FIRED = "SELECT list((what, id) ORDER BY ALL) FROM seen"


@pytest.mark.skipif(duckdb.__version__.startswith("1."), reason="triggers came with DuckDB 2.0")
@pytest.mark.parametrize("operation", [Operation.COMPACT, Operation.BACKUP])
async def test_triggers_survive_and_fire(file: Path, tmp_path: Path, operation: Operation) -> None:
    run_sql(file, *_TRIGGERS)
    listed = "SELECT list(sql ORDER BY sql) FROM duckdb_triggers()"
    before = run_sql(file, listed)
    assert before.count("CREATE TRIGGER") == 2
    (tmp_path / "kept").mkdir()
    _, (result,), _ = await run(file, operation, Options(backup_to=str(tmp_path / "kept")))
    assert result.status is Status.COMPLETED, result.error
    (copy,) = [file] if operation is Operation.COMPACT else (tmp_path / "kept").iterdir()
    assert run_sql(copy, listed) == before
    assert "('gone', -7), ('new', -7)" in run_sql(
        copy, "INSERT INTO item (id) VALUES (-7)", "DELETE FROM item WHERE id = -7", FIRED
    )


async def test_a_kind_of_object_that_is_not_known_is_refused_before_anything_is_done(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.targets.duckdb import contents

    monkeypatch.setattr(contents, "_COPIED", contents._COPIED - {"duckdb_sequences"})
    async with planned(file, Operation.COMPACT) as running:
        assert "sequences (duckdb_sequences())" in (running.plan.refused or "")
    async with planned(file, Operation.BACKUP) as running:
        assert running.plan.refused is None  # it copies all bytes


async def test_every_kind_that_this_duckdb_has_is_known() -> None:
    from engine.targets.duckdb import contents
    from engine.targets.duckdb.connection import Connection

    connection = Connection(":memory:", duckdb.connect())
    assert set(await contents._catalog(connection)) - contents._COPIED <= {"duckdb_coordinate_systems"}
    await connection.close()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("DROP INDEX item_note", "indexes"),
        ("DROP VIEW dear", "columns"),
        ("DROP MACRO twice", "functions"),
        ("CREATE MACRO thrice(a) AS TABLE SELECT a", "functions"),
        ("SELECT nextval('numbers')", "sequences"),
        ("COMMENT ON COLUMN item.note IS 'other'", "columns"),
        ("COMMENT ON MACRO twice IS 'other'", "functions"),
        ("COMMENT ON INDEX item_note IS 'other'", "indexes"),
        ("COMMENT ON TYPE mood IS 'other'", "types"),
        ("ALTER TABLE item ALTER price SET DEFAULT 7", "columns"),
        ("CREATE SCHEMA empty", "schemas"),
    ],
)
async def test_all_that_a_copy_may_lack_is_seen(tmp_path: Path, change: str, kind: str) -> None:
    from engine.targets.duckdb import contents
    from engine.targets.duckdb.connection import Connection, literal

    one, other = make_duckdb(tmp_path / "one.duckdb"), make_duckdb(tmp_path / "two.duckdb")
    connection = await Connection.open(str(one), writing=False, timeout=1.0)
    read = await contents.read_contents(connection)
    await connection.rows(f"ATTACH {literal(str(other))} AS two (READ_ONLY)")
    assert await contents.difference(connection, read, "two", asyncio.Event()) == ""
    await connection.rows("DETACH two")
    run_sql(other, change)
    await connection.rows(f"ATTACH {literal(str(other))} AS two (READ_ONLY)")
    assert await contents.difference(connection, read, "two", asyncio.Event()) == f"its {kind} are not the same"
    await connection.close()


async def test_a_table_that_refers_to_itself_is_refused_and_can_be_backed_up(file: Path) -> None:
    run_sql(
        file,
        "CREATE TABLE other.node (id INTEGER PRIMARY KEY, above INTEGER REFERENCES other.node (id))",
        "INSERT INTO other.node VALUES (1, NULL)",
        "INSERT INTO other.node VALUES (2, 1)",
    )
    async with planned(file, Operation.COMPACT) as running:
        assert (running.plan.refused or "").startswith("other.node has a foreign key to itself")
    _, (result,), facts = await run(file, Operation.BACKUP)
    assert result.status is Status.COMPLETED
    backup = Path(str(facts["backup"]))
    assert run_sql(backup, "SELECT count(*) FROM other.node") == "[(2,)]"
    assert content(backup) == content(file)


async def test_the_room_that_a_copy_needs_counts_the_log(file: Path) -> None:
    kept = ("SET wal_autocheckpoint = '1TB'", "PRAGMA disable_checkpoint_on_shutdown")
    run_sql(file, *kept, "CREATE TABLE new AS SELECT i, md5(i::VARCHAR) AS m FROM range(50000) AS t(i)")
    log = file.with_name(file.name + ".wal").stat().st_size
    assert log > 1_000_000
    _, (result,), facts = await run(file, Operation.BACKUP)
    assert result.status is Status.COMPLETED
    assert run_sql(Path(str(facts["backup"])), "SELECT count(*) FROM new") == "[(50000,)]"
    for operation in (Operation.BACKUP, Operation.COMPACT):  # the second opens it to write, which writes the log back
        async with planned(file, operation) as running:
            assert (running.plan.steps[0].disk_needed or 0) >= 1_000_000 + log


async def test_a_copy_spills_beside_itself_and_nothing_else_spills(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.targets.duckdb import copying
    from engine.targets.duckdb.connection import Connection
    from engine.targets.duckdb.contents import copy_triggers

    seen = []

    async def copies(connection: Connection, original: str, copy: str) -> None:
        (files,) = await connection.rows("SELECT list(path) FROM duckdb_databases() WHERE database_name = ?", [copy])
        seen.append((f"{files[0][0]}.tmp", await connection.rows("SELECT current_setting('temp_directory')")))
        await copy_triggers(connection, original, copy)

    monkeypatch.setattr(copying, "copy_triggers", copies)
    _, (result,), _ = await run(file, Operation.COMPACT)
    assert result.status is Status.COMPLETED
    ((expected, ((actual,),)),) = seen
    assert actual == expected
    assert str(file.parent) in expected
    connection = await Connection.open(str(file), writing=False, timeout=1.0)
    assert await connection.rows("SELECT current_setting('temp_directory')") == [("",)]
    await connection.close()


async def test_a_value_that_speaks_of_damage_is_no_damage(file: Path) -> None:
    run_sql(
        file,
        "CREATE TABLE up (v VARCHAR PRIMARY KEY)",
        "INSERT INTO up VALUES ('corrupt checksum')",
        "CREATE TABLE down (v VARCHAR REFERENCES up (v))",
        "INSERT INTO down VALUES ('corrupt checksum')",
    )
    async with planned(file, Operation.COMPACT) as running:
        for step in running.plan.steps:
            failing = replace(step, command="DELETE FROM up", method=Method.COMMAND)  # type: ignore[call-arg]
            result = await running.execute(failing, StepContext())
    assert (result.status, result.met_damage) == (Status.FAILED, "")
    assert "corrupt checksum" in (result.error or "")


async def test_a_copy_that_meets_damage_says_so(tmp_path: Path) -> None:
    file = make_duckdb(tmp_path / "shop.duckdb", rows=200_000)
    whole = bytearray(file.read_bytes())
    whole[1_000_000:1_000_064] = os.urandom(64)
    file.write_bytes(whole)
    for operation in (Operation.COMPACT, Operation.BACKUP):
        _, (result,), _ = await run(file, operation)
        assert result.status is Status.FAILED
        assert result.met_damage.startswith("item cannot be read")
        assert [*tmp_path.iterdir()] == [file]


def _set(cancel: asyncio.Event, _: object) -> None:
    cancel.set()


async def test_a_cancel_changes_nothing_and_leaves_nothing(file: Path) -> None:
    before = content(file)
    for operation in (Operation.COMPACT, Operation.BACKUP, Operation.CHECK):
        async with planned(file, operation) as running:
            cancel = asyncio.Event()
            context = StepContext(cancel=cancel, report=partial(_set, cancel))
            result = await running.execute(running.plan.steps[0], context)
            assert result.status in {Status.CANCELLED, Status.COMPLETED}
            assert operation is Operation.CHECK or result.status is Status.CANCELLED
    assert content(file) == before
    assert [*file.parent.iterdir()] == [file]


async def test_a_damaged_block_is_found_by_its_table(tmp_path: Path) -> None:
    file = make_duckdb(tmp_path / "shop.duckdb", rows=200_000)
    found = set[str]()
    whole = file.read_bytes()
    for offset in range(12_288 + 100_000, len(whole), 262_144 * 4):
        file.write_bytes(whole[:offset] + os.urandom(64) + whole[offset + 64 :])
        try:
            _, results, facts = await run(file, Operation.CHECK)
        except TargetError:
            continue  # a block without which it cannot be opened
        if any(result.status is Status.FAILED for result in results):
            assert facts["damage"]
            assert facts["complete"]
            found.update(str(name) for name in facts["damaged_tables"] or ())  # type: ignore[union-attr]
    assert found == {"item"}


async def test_only_a_named_table_is_checked_and_an_unknown_one_is_refused(file: Path) -> None:
    plan, _, facts = await run(file, Operation.CHECK, Options(objects=("item",)))
    assert [step.object for step in plan.steps] == ["item"]
    assert facts["complete"]
    with pytest.raises(UsageError, match="no such table"):
        await run(file, Operation.CHECK, Options(objects=("items",)))


async def test_a_checkpoint_writes_a_log_back_that_a_process_left(file: Path) -> None:
    kept = ("SET wal_autocheckpoint = '1TB'", "PRAGMA disable_checkpoint_on_shutdown")
    run_sql(file, *kept, "INSERT INTO item (id) SELECT -i - 1 FROM range(1000) AS t(i)")
    log = file.with_name(file.name + ".wal")
    size = log.stat().st_size
    _, (result,), facts = await run(file, Operation.CHECKPOINT)
    assert result.effect == {"written_back": size}
    assert facts["wal_size"] == 0
    assert "(6000," in content(file)


async def test_a_backup_gets_a_name_of_its_own_each_time(file: Path, tmp_path: Path) -> None:
    (there := tmp_path / "kept").mkdir()
    for _ in range(2):
        await run(file, Operation.BACKUP, Options(backup_to=str(there)))
    names = sorted(path.name for path in there.iterdir())
    assert len(names) == 2
    assert {content(path) for path in there.iterdir()} == {content(file)}
    plan, _, _ = await run(file, Operation.BACKUP, Options(backup_to=str(there / names[0])))
    assert plan.refused is not None


@pytest.mark.parametrize("operation", ALL)
async def test_a_process_that_writes_is_named_and_waited_for(file: Path, operation: Operation) -> None:
    with (
        opened_elsewhere(file, "INSERT INTO item (id) VALUES (-1)") as pid,
        pytest.raises(TargetBusyError, match=f"no lock within 0.2 s: process {pid} "),
    ):
        await run(file, operation)
    _, results, _ = await run(file, operation)
    assert {result.status for result in results} <= {Status.COMPLETED}


async def test_what_only_reads_runs_beside_readers(file: Path) -> None:
    with opened_elsewhere(file, reads=True):
        for operation in (Operation.CHECK, Operation.BACKUP):
            _, results, _ = await run(file, operation)
            assert {result.status for result in results} == {Status.COMPLETED}
        with pytest.raises(TargetBusyError):
            await run(file, Operation.COMPACT)


async def test_two_attempts_exclude_each_other_also_to_read(file: Path) -> None:
    async with planned(file, Operation.CHECK):
        with pytest.raises(TargetBusyError, match="another job of dbtend"):
            await run(file, Operation.CHECK)


async def test_what_a_living_process_makes_is_left_alone(file: Path) -> None:
    from engine.targets.duckdb import copying

    with copying.workshop(str(file), str(file.parent)) as copy:
        await asyncio.to_thread(copying.remove_leftovers, str(file), str(file.parent))
        assert os.path.isdir(os.path.dirname(copy))  # noqa: PTH112, PTH120
    assert [*file.parent.iterdir()] == [file]


_ONLY = "import sys, engine.targets as t; t.resolve(sys.argv[1]); sys.exit({driver!r} in sys.modules)"


@pytest.mark.parametrize(
    ("text", "drivers"),
    [
        ("/srv/a.db", ("psycopg", "pymysql", "duckdb")),
        ("/srv/a.duckdb", ("psycopg", "pymysql")),
        ("postgresql://h/d", ("pymysql", "duckdb")),
        ("mysql://h/d", ("psycopg", "duckdb")),
    ],
)
def test_no_driver_is_imported_for_another_engine(text: str, drivers: Sequence[str]) -> None:
    for driver in drivers:
        assert subprocess.run([sys.executable, "-c", _ONLY.format(driver=driver), text], check=False).returncode == 0
