"""Backups: a new file that is complete and checked, or none at all."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets import resolve
from engine.targets.sqlite.connection.metered import OPCODES_A_TICK, MeteredConnection
from engine.targets.sqlite.planning.steps import SqliteStep
from engine.targets.sqlite.system import copying
from engine.targets.sqlite.system.old_backups import file_identity
from engine.targets.sqlite.system.unfinished_backup import UnfinishedCopy, copy_in, directory_for
from engine.targets.step_execution import StepContext, StepProgress, StepResult
from tests.engine.targets.sqlite.a_session import commands_of, connected, execute, plan, run, statuses, when_running
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import content, files_beside, integrity, make_database, set_schema_sql

TODAY = date(2026, 11, 24)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db", rows=400)


def todays_backup(path: Path, number: str = "") -> Path:
    return path.with_name(f"{path.stem}.backup-{datetime.now(UTC).date().isoformat()}{number}{path.suffix}")


async def steps_to(destination: Path | None, path: Path) -> tuple[SqliteStep, SqliteStep]:
    planned = await plan(path, Operation.BACKUP, backup_to=None if destination is None else str(destination))
    copy, check = planned.steps
    assert isinstance(copy, SqliteStep)
    assert isinstance(check, SqliteStep)
    return copy, check


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_a_backup_is_a_compact_copy_beside_the_database(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "sales.db", journal_mode=journal_mode)
    before = path.read_bytes()
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        copy, check = (await session.plan(Operation.BACKUP, Options())).steps
        copied, checked = await execute(session, copy), await execute(session, check)
        facts = await session.facts(Operation.BACKUP)
    backup = todays_backup(path)
    assert (copied.status, checked.status) == (Status.COMPLETED, Status.COMPLETED)
    assert copied.effect == {"backup_size": backup.stat().st_size}
    kept = {"backup_journal_mode": "wal"} if journal_mode == "wal" else {}
    of_file = {"backup_checked": True, "backup_file": file_identity(backup.stat())}
    of_file["backup_source"] = f"{path.stat().st_ino:x}"
    assert checked.effect == {"backup": str(backup), "backup_size": backup.stat().st_size, **of_file, **kept}
    assert (facts["backup"], facts["backup_size"]) == (str(backup), backup.stat().st_size)
    assert backup.stat().st_size < path.stat().st_size
    assert (content(backup), integrity(backup)) == (content(path), [])
    assert path.read_bytes() == before
    assert files_beside(path) == {"sales.db", backup.name}


async def test_a_second_backup_on_the_same_day_has_a_number(path: Path) -> None:
    for _ in range(3):
        assert statuses(await run(path, Operation.BACKUP)) == {Status.COMPLETED}
    names = {todays_backup(path, number).name for number in ("", ".2", ".3")}
    assert files_beside(path) == {"sales.db", *names}


async def test_a_backup_goes_to_the_file_or_into_the_directory_that_was_asked_for(path: Path) -> None:
    directory = path.parent / "it's a place"
    directory.mkdir()
    await run(path, Operation.BACKUP, backup_to=str(directory))
    assert [entry.name for entry in directory.iterdir()] == [todays_backup(path).name]
    await run(path, Operation.BACKUP, backup_to=str(directory / "a?b#c.copy"))
    assert content(directory / "a?b#c.copy") == content(path)
    assert files_beside(path) == {"sales.db", directory.name}


async def test_a_backup_of_a_database_whose_name_is_no_utf8(tmp_path: Path) -> None:
    path = make_database(tmp_path / b"b\xff's.db".decode(errors="surrogateescape"), rows=20)
    assert statuses(await run(path, Operation.BACKUP)) == {Status.COMPLETED}
    assert content(todays_backup(path)) == content(path)


def _to_a_file(directory: Path) -> Path:
    (directory / "there.db").write_text("precious")
    return directory / "there.db"


def _to_a_dangling_link(directory: Path) -> Path:
    (directory / "link.db").symlink_to(directory / "nowhere.db")
    return directory / "link.db"


def _to_no_directory(directory: Path) -> Path:
    return directory / "missing" / "copy.db"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (_to_a_file, "there is a file {}/there.db already: give another --backup-to"),
        (_to_a_dangling_link, "there is a file {}/link.db already"),
        (_to_no_directory, "there is no directory {}/missing: make it"),
    ],
)
async def test_a_place_that_cannot_be_is_refused_and_left_alone(
    path: Path, place: Callable[[Path], Path], words: str
) -> None:
    destination = place(path.parent)
    before = files_beside(path)
    planned = await plan(path, Operation.BACKUP, backup_to=str(destination))
    assert planned.steps == ()
    assert words.format(path.parent) in str(planned.refused)
    assert files_beside(path) == before


async def test_a_backup_is_not_what_sqlite_takes_for_the_journal_of_the_database(path: Path) -> None:
    planned = await plan(path, Operation.BACKUP, backup_to=f"{path}-journal")
    assert "is a name that SQLite uses for its own files" in str(planned.refused)


def test_a_directory_that_is_missing_is_not_taken_for_a_file(tmp_path: Path) -> None:
    assert copying.problem_with(f"{tmp_path}/missing/") == (
        f"there is no directory {tmp_path}/missing: make it, or give another --backup-to"
    )


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666, 0o444])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0])
async def test_who_may_read_the_copy_is_who_may_read_the_source_and_nobody_before_it_is_complete(
    path: Path, mode: int, umask: int
) -> None:
    path.chmod(mode)
    copy, check = await steps_to(None, path)
    umask_before = os.umask(umask)
    try:
        async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
            await session.plan(Operation.BACKUP, Options())
            await execute(session, copy)
            assert stat.S_IMODE(Path(copy.unfinished).stat().st_mode) == 0o700
            assert {stat.S_IMODE(entry.stat().st_mode) for entry in Path(copy.unfinished).iterdir()} == {0o600}
            await execute(session, check)
    finally:
        os.umask(umask_before)
    assert stat.S_IMODE(Path(copy.destination).stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_the_copy_belongs_to_whom_the_source_belongs(path: Path) -> None:
    os.chown(path, 12, 34)
    await run(path, Operation.BACKUP)
    status = todays_backup(path).stat()
    assert (status.st_uid, status.st_gid) == (12, 34)


@pytest.mark.parametrize("which", [0, 1])
async def test_nothing_is_left_of_a_copy_that_was_cancelled(path: Path, which: int) -> None:
    async with connected(path) as (session, connection):
        steps = (await session.plan(Operation.BACKUP, Options())).steps
        cancel = asyncio.Event()
        if which:
            assert (await execute(session, steps[0])).status is Status.COMPLETED
            cancel.set()
        else:

            def stop() -> None:
                cancel.set()
                connection._conn.interrupt()  # at once: what runs here is too short to wait for the task's turn

            await when_running(connection, stop, commands_of(steps[0]))
        assert (await execute(session, steps[which], cancel)).status is Status.CANCELLED
    assert files_beside(path) == {"sales.db"}


async def test_nothing_is_left_of_a_copy_that_nobody_went_on_with(path: Path) -> None:
    copy, _ = await steps_to(None, path)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        await execute(session, copy)
        assert files_beside(path) == {"sales.db", Path(copy.unfinished).name}
    assert files_beside(path) == {"sales.db"}


async def test_a_copy_that_cannot_be_made_fails_once_and_leaves_nothing(path: Path) -> None:
    copy, check = await steps_to(path.parent / ("x" * 250), path)  # there is no room for what comes after the name
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        result = await execute(session, copy)
        assert (result.status, result.error) == (Status.FAILED, "cannot write the copy: File name too long")
        skipped = await execute(session, check)
        assert (skipped.status, skipped.error) == (Status.SKIPPED, "there is no copy to check")
    assert files_beside(path) == {"sales.db"}


async def test_a_source_that_is_damaged_gives_no_copy(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        ((page,),) = db.execute("SELECT max(pageno) FROM dbstat WHERE name = 'item' AND pagetype = 'leaf'")
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    copied, checked = (await run(path, Operation.BACKUP)).values()
    assert (copied.status, checked.status) == (Status.FAILED, Status.SKIPPED)
    assert str(copied.error).startswith("the database is damaged")
    assert files_beside(path) == {"sales.db"}


async def test_a_copy_that_only_its_application_could_check_is_kept_with_a_warning(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "search", "CREATE VIRTUAL TABLE search USING fts5(words, tokenize='klingon')")
    copied, checked = (await run(path, Operation.BACKUP)).values()
    assert (copied.status, checked.status) == (Status.COMPLETED, Status.COMPLETED)
    (warning,) = checked.warnings
    assert "search in it cannot be checked here: no such tokenizer: klingon" in warning
    assert todays_backup(path).exists()


async def _between(path: Path, meanwhile: Callable[[SqliteStep], object], place: Path | None) -> StepResult:
    """What the check says where something happened after the copy."""
    copy, check = await steps_to(place, path)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        assert (await execute(session, copy)).status is Status.COMPLETED
        meanwhile(copy)
        return await execute(session, check)


async def test_the_check_of_a_copy_tells_how_far_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_database(path.with_name("larger.db"), rows=6000)
    copy, check = await steps_to(None, path)
    told, heard = list[StepProgress](), threading.Event()

    def report(progress: StepProgress) -> None:
        told.append(progress)
        heard.set()

    def hold_up(connection: MeteredConnection) -> int:
        connection.opcodes += OPCODES_A_TICK
        heard.wait(60)
        return 0

    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        assert (await execute(session, copy)).status is Status.COMPLETED
        monkeypatch.setattr(MeteredConnection, "_count", hold_up)
        assert (await session.execute(check, StepContext(report=report))).status is Status.COMPLETED
    assert told[0].fraction is not None
    assert 0 < told[0].fraction < 1


async def test_a_copy_whose_rows_break_a_rule_as_they_do_in_the_database_is_kept_with_a_warning(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE rule(a INTEGER CHECK (a > 0)); PRAGMA ignore_check_constraints = ON;"
            " INSERT INTO rule VALUES(-1)"
        )
    results = list((await run(path, Operation.BACKUP)).values())
    assert [result.status for result in results] == [Status.COMPLETED, Status.COMPLETED]
    assert "CHECK constraint failed in rule" in results[1].warnings[0]
    assert results[1].effect is not None
    assert Path(str(results[1].effect["backup"])).exists()


async def test_a_name_that_somebody_takes_meanwhile_is_theirs(path: Path) -> None:
    asked = path.parent / "copy.db"
    result = await _between(path, lambda _: asked.write_text("precious"), asked)
    assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
    assert f"there is a file {asked} already" in str(result.error)
    assert asked.read_text() == "precious"
    assert files_beside(path) == {"sales.db", "copy.db"}


@pytest.mark.parametrize("before_the_copy", [False, True])
async def test_a_name_with_a_number_goes_on_to_the_next_where_somebody_takes_it(
    path: Path, before_the_copy: bool
) -> None:
    copy, check = await steps_to(None, path)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        await session.plan(Operation.BACKUP, Options())
        if before_the_copy:
            Path(copy.destination).write_text("precious")
        assert (await execute(session, copy)).status is Status.COMPLETED
        Path(copy.destination).write_text("precious")
        result = await execute(session, check)
        facts = await session.facts(Operation.BACKUP)
    assert result.effect is not None
    assert result.effect["backup"] == facts["backup"] == str(todays_backup(path, ".2"))
    assert Path(copy.destination).read_text() == "precious"
    assert content(todays_backup(path, ".2")) == content(path)
    assert files_beside(path) == {"sales.db", todays_backup(path).name, todays_backup(path, ".2").name}


async def test_a_name_that_was_taken_after_the_plan_is_theirs(path: Path) -> None:
    copy, _ = await steps_to(path.parent / "copy.db", path)
    Path(copy.destination).write_text("precious")
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        result = await session.execute(copy, StepContext())
    assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
    assert Path(copy.destination).read_text() == "precious"


def two_of_one_name(directory: Path) -> list[Path]:
    for name in ("a", "b"):
        (directory / name).mkdir()
    return [
        make_database(directory / "a" / "app.db", rows=20),
        make_database(directory / "b" / "app.db", rows=40),
    ]


async def test_two_databases_of_one_name_are_copied_at_once_into_one_directory(tmp_path: Path) -> None:
    paths = two_of_one_name(tmp_path)
    place = tmp_path / "copies"
    place.mkdir()
    async with AsyncExitStack() as stack:
        both = [
            (
                await stack.enter_async_context(stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False))),
                steps,
            )
            for path in paths
            for steps in [await steps_to(place, path)]
        ]
        results = [await execute(session, steps[which]) for which in (0, 1) for session, steps in both]
    assert {result.status for result in results} == {Status.COMPLETED}
    made = [str((result.effect or {})["backup"]) for result in results[2:]]
    assert [content(Path(name)) for name in made] == [content(path) for path in paths]
    assert sorted(made) == sorted(str(entry) for entry in place.iterdir())


async def test_two_backups_that_were_to_be_one_file_make_one_and_refuse_the_other(tmp_path: Path) -> None:
    paths = two_of_one_name(tmp_path)
    asked = tmp_path / "copy.db"
    async with AsyncExitStack() as stack:
        both = [
            (
                await stack.enter_async_context(stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False))),
                steps,
            )
            for path in paths
            for steps in [await steps_to(asked, path)]
        ]
        results = [await execute(session, steps[which]) for which in (0, 1) for session, steps in both]
    assert [(result.status, result.reason) for result in results[2:]] == [
        (Status.COMPLETED, None),
        (Status.FAILED, Reason.REFUSED),
    ]
    assert content(asked) == content(paths[0])
    assert files_beside(asked) == {"a", "b", "copy.db"}


async def test_a_recovery_and_another_backup_leave_a_copy_alone_that_is_being_made(path: Path) -> None:
    copy, check = await steps_to(None, path)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        assert (await execute(session, copy)).status is Status.COMPLETED
        async with connected(path) as (another, _):
            assert (await another.recover((), Options(), StepContext())).is_well
        assert statuses(await run(path, Operation.BACKUP)) == {Status.COMPLETED}
        assert (await execute(session, check)).status is Status.COMPLETED
    assert files_beside(path) == {"sales.db", todays_backup(path).name, todays_backup(path, ".2").name}


async def test_a_cancel_ends_the_wait_for_a_copy_that_somebody_has_locked(path: Path) -> None:
    copy, check = await steps_to(None, path)
    cancel = asyncio.Event()
    async with stepwise(resolve(str(path)).connect(lock_timeout=3600, writing=False)) as session:
        assert (await execute(session, copy)).status is Status.COMPLETED
        with closing(sqlite3.connect(copy_in(copy.unfinished), isolation_level=None)) as somebody:
            somebody.execute("BEGIN EXCLUSIVE")
            checking = asyncio.create_task(execute(session, check, cancel))
            await asyncio.sleep(0)
            cancel.set()
            assert (await asyncio.wait_for(checking, 60)).status is Status.CANCELLED
    assert files_beside(path) == {"sales.db"}


async def test_a_copy_that_is_damaged_gets_no_name(path: Path) -> None:
    def damage(copy: SqliteStep) -> None:
        with Path(copy_in(copy.unfinished)).open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 4096)

    result = await _between(path, damage, None)
    assert result.status is Status.FAILED
    assert "damaged" in str(result.error)
    assert files_beside(path) == {"sales.db"}


async def test_a_copy_that_disappears_is_no_success(path: Path) -> None:
    result = await _between(path, lambda copy: Path(copy_in(copy.unfinished)).unlink(), None)
    assert result.status is Status.FAILED
    assert files_beside(path) == {"sales.db"}


def test_a_copy_that_was_replaced_while_it_was_checked_gets_no_name(path: Path) -> None:
    destination = str(path.parent / "copy.db")
    copy = UnfinishedCopy.begin(directory_for(destination))
    Path(copy.path).rename(path.parent / "other")
    Path(copy.path).touch()
    with pytest.raises(FileNotFoundError, match="was replaced while it was written"):
        copying.complete(copy, str(path), destination, lambda: destination)
    assert not Path(destination).exists()
    copy.discard()


def test_where_there_are_no_hard_links_the_copy_gets_its_name_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    destination = str(path.parent / "copy.db")
    for expected in ("copy.db", "copy.2.db"):
        copy = UnfinishedCopy.begin(directory_for(destination))
        Path(copy.path).write_text(expected)
        name = Path(copying.complete(copy, str(path), destination, lambda: str(path.parent / "copy.2.db"))[0])
        copy.discard()
        assert (name.name, name.read_text()) == (expected, expected)
    copy = UnfinishedCopy.begin(directory_for(destination))
    with pytest.raises(FileExistsError):
        copying.complete(copy, str(path), destination, lambda: destination)
    copy.discard()
    assert files_beside(path) == {"sales.db", "copy.db", "copy.2.db"}


def test_a_name_that_was_taken_and_is_free_again_is_taken(path: Path) -> None:
    destination = path.parent / "copy.db"
    destination.touch()

    def removed_meanwhile() -> str:
        destination.unlink()
        return str(destination)

    copy = UnfinishedCopy.begin(directory_for(str(destination)))
    assert copying.complete(copy, str(path), str(destination), removed_meanwhile)[0] == str(destination)
    copy.discard()


async def test_each_free_number_may_be_taken_by_another_backup_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, taken = copying.free_name, list[str]()

    def then_taken(*of: Any) -> str:
        name = free(*of)
        if len(taken) < 4:
            Path(name).touch()
            taken.append(name)
        return name

    monkeypatch.setattr(copying, "free_name", then_taken)
    assert statuses(await run(path, Operation.BACKUP)) == {Status.COMPLETED}
    assert content(todays_backup(path, ".5")) == content(path)


def left_by_a_killed_process(destination: Path) -> Path:
    """Half a copy, as it is when its process was killed."""
    left = Path(directory_for(str(destination)))
    left.mkdir()
    for name in ("lock", "copy", "copy-journal"):
        (left / name).write_text("half of it")
    return left


@pytest.mark.parametrize("to_file", [False, True])
async def test_what_a_killed_attempt_left_is_removed_by_the_next(path: Path, to_file: bool) -> None:
    backup = path.parent / "copy.db" if to_file else todays_backup(path)
    left_by_a_killed_process(backup)
    assert statuses(await run(path, Operation.BACKUP, backup_to=str(backup) if to_file else None)) == {Status.COMPLETED}
    assert files_beside(path) == {"sales.db", backup.name}


@pytest.mark.parametrize("inside", [(), ("lock",), ("copy",)])
async def test_what_was_killed_as_it_began_or_ended_is_removed(path: Path, inside: tuple[str, ...]) -> None:
    left = Path(directory_for(str(todays_backup(path))))
    left.mkdir()
    for name in inside:
        (left / name).touch()
    copying.remove_leftovers(str(path), None)
    assert files_beside(path) == {"sales.db"}


async def test_what_killed_attempts_left_is_removed_by_a_recovery_and_nothing_else(path: Path) -> None:
    for name in ("sales.backup-2026-11-23.db", "sales.backup-2026-11-23.2.db"):
        left_by_a_killed_process(path.with_name(name))
    others = {
        left_by_a_killed_process(path.with_name(name)).name
        for name in (
            "sales.backup-2026-11-23.sqlite",
            "sales.backup-2026-11-23.backup-2026-11-24.db",
            "stock.backup-2026-11-23.db",
        )
    }
    others |= {"sales.backup-2026-11-23.db", "sales.backup-2026-11-23.db.00000000.unfinished"}
    for name in others - files_beside(path):
        path.with_name(name).write_text("of others")
    async with connected(path) as (session, _):
        assert (await session.recover((), Options(), StepContext())).is_well
    assert files_beside(path) == {"sales.db", *others}


async def test_a_directory_that_cannot_be_read_or_is_gone_keeps_no_recovery_from_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(path) as (session, _):
        gone = Options(backup_to=str(path.parent / "gone" / "copy.db"))
        assert (await session.recover((), gone, StepContext())).is_well

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "scandir", refuse)  # a real one would not keep root out
        assert (await session.recover((), Options(), StepContext())).is_well


def test_what_was_discarded_can_be_discarded_again(path: Path) -> None:
    copy = UnfinishedCopy.begin(directory_for(str(path)))
    copy.discard()
    another = UnfinishedCopy.begin(directory_for(str(path)))
    copy.discard()
    copying.remove_leftovers(str(path), str(path))
    assert Path(another.path).exists()
    another.discard()


def test_a_copy_is_begun_once_more_where_another_backup_takes_its_new_directory_for_abandoned(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir
    made: list[bool] = []

    def then_another_cleans_up(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        if not made:
            copying.remove_leftovers(str(path), str(path))
        made.append((path.parent / name).exists())

    monkeypatch.setattr(os, "mkdir", then_another_cleans_up)
    copy = UnfinishedCopy.begin(directory_for(str(path)))
    assert made == [False, True]
    copy.require()
    copy.discard()


@pytest.mark.parametrize("to_directory", [False, True])
async def test_what_a_killed_attempt_left_elsewhere_is_removed_by_a_recovery(path: Path, to_directory: bool) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    asked = elsewhere if to_directory else elsewhere / "copy.db"
    destination = copying.destination(str(path), str(asked), TODAY)
    left_by_a_killed_process(Path(destination))
    other = left_by_a_killed_process(elsewhere / "other.db")
    async with connected(path) as (session, _):
        await session.recover((), Options(backup_to=str(asked)), StepContext())
    assert list(elsewhere.iterdir()) == [other]


@pytest.mark.parametrize(
    ("there", "number"),
    [
        ((), ""),
        (("",), ".2"),
        ((".2",), ".3"),
        ((".2", ".3"), ".4"),
        (("", ".9", ".10"), ".11"),
        ((".x", ".5.bak", ".-7"), ""),
    ],
)
def test_a_backup_is_numbered_after_the_highest_of_its_day(tmp_path: Path, there: tuple[str, ...], number: str) -> None:
    (tmp_path / "sales.backup-2026-11-23.20.db").touch()
    (tmp_path / "sales2.backup-2026-11-24.20.db").touch()
    for other in there:
        (tmp_path / f"sales.backup-2026-11-24{other}.db").touch()
    named = copying.free_name(str(tmp_path / "sales.db"), str(tmp_path), TODAY)
    assert named == str(tmp_path / f"sales.backup-2026-11-24{number}.db")


@pytest.mark.parametrize(
    ("database", "name"),
    [
        ("sales.db", "sales.backup-2026-11-24.db"),
        ("a.b.sqlite", "a.b.backup-2026-11-24.sqlite"),
        ("x", "x.backup-2026-11-24"),
    ],
)
def test_the_name_of_a_backup(tmp_path: Path, database: str, name: str) -> None:
    assert copying.destination(str(tmp_path / database), None, TODAY) == str(tmp_path / name)
    left = left_by_a_killed_process(tmp_path / name)
    copying.remove_leftovers(str(tmp_path / database), None)
    assert not left.exists()
