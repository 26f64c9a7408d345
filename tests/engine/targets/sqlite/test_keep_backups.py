"""`keep`: after a sound backup the oldest ones of the same database go, and no other file."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import pytest

from engine import Engine
from engine.domain.advice import TargetHistory
from engine.domain.jobs import ChildJob
from engine.domain.requests import OnDuplicate, Operation, Options, Request
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.plans import OperationPlan
from engine.targets.sqlite.system.copying import generated_names
from engine.targets.sqlite.system.old_backups import Stays
from engine.targets.step_execution import StepContext, StepResult
from tests.engine.processes import python
from tests.engine.targets.sqlite.another_process import another_process
from tests.engine.targets.sqlite.small_disks import ROOT, can_mount, in_a_world_of_its_own
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import content, integrity, make_database, remove_index_entries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return make_database(tmp_path / "data" / "sales.db", rows=20)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.fixture
async def engine(tmp_path: Path, config: Path) -> AsyncIterator[Engine]:
    async with Engine.open(tmp_path / "jobs.db", workers=1, config=config) as opened:
        yield opened


def request(path: Path, **options: Any) -> Request:
    return Request(target=str(path), operations=(Operation.BACKUP,), options=Options(**options))


async def back_up(engine: Engine, path: Path, **options: Any) -> ChildJob:
    (job,) = await engine.submit([request(path, **options)])
    async with asyncio.timeout(60):
        ((child,),) = [ended.children for ended in await engine.wait([job.id])]
    return child


async def made(engine: Engine, path: Path, number: int, **options: Any) -> list[Path]:
    """So many backups, oldest first."""
    children = [await back_up(engine, path, **options) for _ in range(number)]
    return [backup_of(child) for child in children]


def backup_of(child: ChildJob) -> Path:
    assert child.after is not None
    assert child.status is Status.COMPLETED, child.error
    return Path(str(child.after["backup"]))


def backups_in(directory: Path) -> set[Path]:
    return {entry for entry in directory.iterdir() if ".backup-" in entry.name}


def removed(child: ChildJob) -> list[str]:
    return list((child.after or {}).get("backups_removed", ()))  # type: ignore[arg-type]


def assert_stays(warnings: Sequence[str], backup: Path, why: Stays) -> None:
    """Check that the one warning names this backup and this reason."""
    assert list(warnings) == [f"{backup.name} stays: {why}"]


async def planned(engine: Engine, path: Path, **options: Any) -> OperationPlan:
    (operation,) = (await engine.plan(request(path, **options))).operations
    return operation


async def test_a_new_backup_never_gets_the_number_of_a_removed_one(engine: Engine, path: Path) -> None:
    names = [backup.name for backup in await made(engine, path, 4, keep=2)]
    found = [re.fullmatch(r".+\.backup-(\d{4}-\d\d-\d\d)(?:\.(\d+))?\.db", name) for name in names]
    order = [(match[1], int(match[2] or 1)) for match in found if match]
    assert len(order) == 4
    assert order == sorted(set(order))


async def test_without_keep_every_backup_stays(engine: Engine, path: Path) -> None:
    assert backups_in(path.parent) == set() != set(backups := await made(engine, path, 4))
    assert backups_in(path.parent) == set(backups)


@pytest.mark.parametrize("keep", [1, 2, 3])
async def test_the_oldest_beyond_the_number_go(engine: Engine, path: Path, keep: int) -> None:
    old = await made(engine, path, 4)
    plan = await planned(engine, path, keep=keep)
    assert plan.warnings == ()
    gone = old[: 5 - keep]
    *_, step = plan.steps
    assert step.command == f"rm -- {' '.join(map(str, gone))}"
    assert step.objects == tuple(file.name for file in gone)
    child = await back_up(engine, path, keep=keep)
    assert removed(child) == list(step.objects)
    assert (child.steps[2].command, child.steps[2].status) == (step.command, Status.COMPLETED)
    assert backups_in(path.parent) == {backup_of(child), *old[5 - keep :]}
    assert integrity(backup_of(child)) == []


async def test_fewer_than_the_number_all_stay(engine: Engine, path: Path) -> None:
    old = await made(engine, path, 2)
    assert len((await planned(engine, path, keep=3)).steps) == 2
    child = await back_up(engine, path, keep=3)
    assert backups_in(path.parent) == {*old, backup_of(child)}


@pytest.mark.parametrize("name", [b"b\xff.db", b"new\nline.db", b"-rf *.db", b'it\'s "$HOME".db', b"[a-z].db", b"none"])
async def test_hostile_names(engine: Engine, tmp_path: Path, name: bytes) -> None:
    directory = tmp_path / os.fsdecode(b"d\xfe\n'*")
    directory.mkdir()
    path = make_database(directory / os.fsdecode(name), rows=5)
    others = [directory / name for name in ("a.db", "-rf x.db", "a.backup-2026-01-01.db")]
    for other in others:
        other.write_text("precious")
    old = await made(engine, path, 3)
    child = await back_up(engine, path, keep=2)
    assert removed(child) == [file.name for file in old[:2]]
    assert set(directory.iterdir()) == {path, *others, old[2], backup_of(child)}


async def test_a_file_that_the_history_does_not_know_stays(engine: Engine, path: Path) -> None:
    old = await made(engine, path, 2)
    stranger = path.with_name("sales.backup-2020-01-01.db")
    shutil.copy2(old[0], stranger)
    assert "not in its history" in (await planned(engine, path, keep=1)).steps[2].reason
    child = await back_up(engine, path, keep=1)
    assert backups_in(path.parent) == {stranger, backup_of(child)}


def _grows(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE mine(a)")


def _is_written_in_place(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def _is_replaced_by_the_like(file: Path) -> None:
    status = file.stat()
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(file)


def _becomes_a_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _becomes_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _becomes_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _gets_a_hot_journal(file: Path) -> None:
    Path(f"{file}-journal").write_bytes(b"\xd9\xd5\x05\xf9 and more")


def _gets_a_log(file: Path) -> None:
    Path(f"{file}-wal").write_bytes(b"frames")


def _gets_a_linked_journal(file: Path) -> None:
    Path(f"{file}-journal").symlink_to(file.with_name("sales.db"))


CHANGES: list[tuple[Callable[[Path], None], str]] = [
    (_grows, "it changed since dbtend made it"),
    (_is_written_in_place, "it changed since dbtend made it"),
    (_is_replaced_by_the_like, "it changed since dbtend made it"),
    (_becomes_a_link, "it is not a regular file"),
    (_becomes_a_directory, "it is not a regular file"),
    (_becomes_a_pipe, "it is not a regular file"),
    (_gets_a_hot_journal, "a journal or log beside it holds data, or is not its own"),
    (_gets_a_log, "a journal or log beside it holds data, or is not its own"),
    (_gets_a_linked_journal, "a journal or log beside it holds data, or is not its own"),
]


@pytest.mark.parametrize(("change", "why"), CHANGES)
async def test_what_is_no_longer_that_backup_stays_and_is_told(
    engine: Engine, path: Path, change: Callable[[Path], None], why: str
) -> None:
    first, second = await made(engine, path, 2)
    change(first)
    before = {entry: entry.lstat().st_ino for entry in path.parent.iterdir() if entry != second}
    told = f"{first.name} stays: {why}"
    assert told in (await planned(engine, path, keep=1)).warnings
    child = await back_up(engine, path, keep=1)
    assert child.warnings == (told,)
    after = {entry: entry.lstat().st_ino for entry in path.parent.iterdir() if entry != backup_of(child)}
    assert after == before


@pytest.mark.parametrize(("change", "_"), CHANGES)
async def test_what_changes_after_the_plan_stays_too(
    path: Path, tmp_path: Path, config: Path, change: Callable[[Path], None], _: str
) -> None:
    async with Engine.open(tmp_path / "jobs.db", workers=1, config=config) as engine:
        first, second, third = await made(engine, path, 3)
        past = await engine._past_of(resolve(str(path)).url)
    result = await _removed_after(lambda: change(first), path, past, keep=2)
    assert result.status is Status.COMPLETED
    assert result.effect is not None
    assert result.effect["backups_removed"] == [second.name]
    assert len(result.warnings) == 1
    assert os.path.lexists(first)
    assert third.exists()


async def test_what_is_gone_already_is_not_told(engine: Engine, path: Path) -> None:
    first, second = await made(engine, path, 2)
    past = await engine._past_of(resolve(str(path)).url)
    result = await _removed_after(first.unlink, path, past, keep=1)
    assert result.effect is not None
    assert (result.effect["backups_removed"], result.warnings) == ([second.name], ())


async def test_where_newer_ones_are_gone_by_then_older_ones_stay(engine: Engine, path: Path) -> None:
    first, second, third, fourth = await made(engine, path, 4)
    past = await engine._past_of(resolve(str(path)).url)
    result = await _removed_after(third.unlink, path, past, keep=3)
    assert result.effect is not None
    assert result.effect["backups_removed"] == [first.name]
    assert_stays(result.warnings, second, Stays.NEEDED)
    assert second.exists()
    assert fourth.exists()


async def test_what_became_a_target_after_the_plan_stays(engine: Engine, path: Path) -> None:
    first, second = await made(engine, path, 2)
    past = await engine._past_of(resolve(str(path)).url)
    targets: set[str] = set()
    result = await _removed_after(lambda: targets.add(str(first)), path, past, keep=1, targets=targets)
    assert_stays(result.warnings, first, Stays.TARGET)
    assert first.exists()
    assert not second.exists()


async def _removed_after(
    change: Callable[[], object], path: Path, past: TargetHistory, *, keep: int, targets: Collection[str] = ()
) -> StepResult:
    """The removal of what was planned before the change. `targets`: the paths that are targets then."""

    async def maintained_files() -> frozenset[str]:
        return frozenset(targets)

    context = StepContext(store_results=_is_stored, maintained_files=maintained_files)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        known = replace(past, maintained_files=frozenset())
        *first, last = (await session.plan(Operation.BACKUP, Options(keep=keep), known)).steps
        for step in first:
            await session.execute(step, context)
        change()
        return await session.execute(last, context)


async def _is_stored() -> bool:
    return True


async def _no_targets() -> frozenset[str]:
    return frozenset()


@pytest.mark.parametrize("how", ["by its path", "by a symbolic link", "by a hard link"])
async def test_a_target_of_the_config_file_stays(engine: Engine, config: Path, path: Path, how: str) -> None:
    first, _ = await made(engine, path, 2)
    named = first if how == "by its path" else path.with_name("live.db")
    if how == "by a symbolic link":
        named.symlink_to(first)
    if how == "by a hard link":
        named.hardlink_to(first)
    config.write_text(f"[targets.live]\nurl = {json.dumps(str(named))}\n")
    child = await back_up(engine, path, keep=1)
    assert_stays(child.warnings, first, Stays.TARGET)
    assert backups_in(path.parent) == {first, backup_of(child)}


async def test_a_config_file_that_cannot_be_read_keeps_all(engine: Engine, config: Path, path: Path) -> None:
    old = await made(engine, path, 2)
    config.write_text("[targets.live\n")
    child = await back_up(engine, path, keep=1)
    (warning,) = child.warnings
    assert "config file cannot" in warning
    assert backups_in(path.parent) == {*old, backup_of(child)}


async def test_the_target_of_an_open_job_stays(engine: Engine, tmp_path: Path, path: Path) -> None:
    first, _ = await made(engine, path, 2)
    async with Engine.open(tmp_path / "jobs.db", run="another") as other:
        (job,) = await other.submit([Request(target=str(first), operations=(Operation.CHECK,))])
        child = await back_up(engine, path, keep=1)
        assert_stays(child.warnings, first, Stays.TARGET)
        await other.cancel(job.children[0].id)
        child = await back_up(engine, path, keep=1)
        assert backups_in(path.parent) == {backup_of(child)}


async def test_a_backup_that_another_process_has_open_stays(engine: Engine, path: Path) -> None:
    first, second, third = await made(engine, path, 3)
    with another_process(first, "SELECT count(*) FROM item"):
        child = await back_up(engine, path, keep=2)
        assert_stays(child.warnings, first, Stays.OPEN)
        assert backups_in(path.parent) == {first, third, backup_of(child)}
        assert not second.exists()
    child = await back_up(engine, path, keep=1)
    assert backups_in(path.parent) == {backup_of(child)}


async def test_a_backup_that_is_open_under_another_name_stays(engine: Engine, path: Path) -> None:
    (first,) = await made(engine, path, 1)
    other = path.with_name("restored.db")
    other.hardlink_to(first)
    with another_process(other, "SELECT 1"):
        child = await back_up(engine, path, keep=1)
        assert_stays(child.warnings, first, Stays.OPEN)
        assert first.exists()


async def test_a_backup_that_this_process_has_open_stays_with_its_locks(engine: Engine, path: Path) -> None:
    (first,) = await made(engine, path, 1)
    with closing(sqlite3.connect(first, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM item").fetchone()
        child = await back_up(engine, path, keep=1)
        assert_stays(child.warnings, first, Stays.OPEN)
        locks = Path("/proc/locks").read_text()
        assert f":{first.stat().st_ino} " in locks


@pytest.mark.parametrize("end", ["-journal", "-wal", "-shm"])
async def test_what_is_empty_beside_a_backup_goes_with_it(engine: Engine, path: Path, end: str) -> None:
    (first,) = await made(engine, path, 1)
    Path(f"{first}{end}").touch()
    child = await back_up(engine, path, keep=1)
    assert child.warnings == ()
    assert backups_in(path.parent) == {backup_of(child)}


async def test_a_journal_that_is_over_goes_with_its_backup(engine: Engine, path: Path) -> None:
    (first,) = await made(engine, path, 1)
    Path(f"{first}-journal").write_bytes(bytes(512))
    child = await back_up(engine, path, keep=1)
    assert backups_in(path.parent) == {backup_of(child)}


async def test_the_empty_log_and_the_index_of_a_reader_that_was_killed_go_too(engine: Engine, tmp_path: Path) -> None:
    path = make_database(tmp_path / "wal.db", rows=20, journal_mode="wal")
    (first,) = await made(engine, path, 1)
    with another_process(first, "SELECT count(*) FROM item") as pid:
        os.kill(pid, signal.SIGKILL)
    assert {file.name for file in backups_in(tmp_path)} == {first.name, f"{first.name}-wal", f"{first.name}-shm"}
    child = await back_up(engine, path, keep=1)
    assert child.warnings == ()
    assert backups_in(tmp_path) == {backup_of(child)}


async def test_the_log_of_a_writer_that_was_killed_stays_with_the_backup(engine: Engine, tmp_path: Path) -> None:
    path = make_database(tmp_path / "wal.db", rows=20, journal_mode="wal")
    (first,) = await made(engine, path, 1)
    with another_process(first, "CREATE TABLE mine(a)") as pid:
        os.kill(pid, signal.SIGKILL)
    before = backups_in(tmp_path)
    child = await back_up(engine, path, keep=1)
    assert_stays(child.warnings, first, Stays.JOURNAL)
    assert backups_in(tmp_path) == {*before, backup_of(child)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_journal_of_another_user_stays_with_the_backup(engine: Engine, path: Path) -> None:
    (first,) = await made(engine, path, 1)
    journal = Path(f"{first}-journal")
    journal.touch()
    os.chown(journal, 12, 34)
    child = await back_up(engine, path, keep=1)
    assert backups_in(path.parent) == {first, journal, backup_of(child)}


async def test_two_databases_with_the_same_name_do_not_touch_each_other_s_backups(
    engine: Engine, tmp_path: Path
) -> None:
    paths = [make_database(_directory(tmp_path / place) / "app.db", rows=rows) for place, rows in (("a", 4), ("b", 40))]
    to = _directory(tmp_path / "copies")
    last: dict[Path, list[Path]] = {path: [] for path in paths}
    for round_ in range(4):
        for path in paths if round_ % 2 else reversed(paths):
            last[path].append(backup_of(await back_up(engine, path, keep=2, backup_to=str(to))))
    kept = {path: made[-2:] for path, made in last.items()}
    assert backups_in(to) == {file for files in kept.values() for file in files}
    for path, files in kept.items():
        assert [content(file) for file in files] == [content(path)] * 2


async def test_two_databases_with_the_same_name_at_the_same_time(tmp_path: Path) -> None:
    paths = [make_database(_directory(tmp_path / place) / "app.db", rows=4) for place in "abcdef"]
    to = _directory(tmp_path / "copies")
    async with Engine.open(tmp_path / "jobs.db", workers=4) as engine:
        for _ in range(3):
            jobs = await engine.submit([request(path, keep=1, backup_to=str(to)) for path in paths])
            ended = await engine.wait([job.id for job in jobs])
            last = [backup_of(job.children[0]) for job in ended]
            assert backups_in(to) == set(last)
            assert len(set(last)) == len(paths)


async def test_a_name_that_another_database_got_is_not_taken_for_the_own_one(engine: Engine, tmp_path: Path) -> None:
    one, other = (make_database(_directory(tmp_path / place) / "app.db", rows=4) for place in "ab")
    to = _directory(tmp_path / "copies")
    (first,) = await made(engine, one, 1, backup_to=str(to))
    first.unlink()
    assert await made(engine, other, 1, backup_to=str(to)) == [first]
    child = await back_up(engine, one, keep=1, backup_to=str(to))
    assert_stays(child.warnings, first, Stays.CHANGED)
    assert backups_in(to) == {first, backup_of(child)}


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


async def test_backups_of_an_earlier_file_at_the_path_stay(engine: Engine, path: Path) -> None:
    (first,) = await made(engine, path, 1)
    path.rename(path.with_name("old.db"))
    make_database(path, rows=3)
    child = await back_up(engine, path, keep=1)
    assert_stays(child.warnings, first, Stays.OTHER_SOURCE)
    assert backups_in(path.parent) == {first, backup_of(child)}


async def test_backups_in_other_directories_stay(engine: Engine, path: Path, tmp_path: Path) -> None:
    here = await made(engine, path, 2)
    to = _directory(tmp_path / "copies")
    child = await back_up(engine, path, keep=1, backup_to=str(to))
    assert backups_in(path.parent) == set(here)
    assert backups_in(to) == {backup_of(child)}


async def test_the_same_directory_by_another_name(engine: Engine, path: Path, tmp_path: Path) -> None:
    await made(engine, path, 2)
    (tmp_path / "link").symlink_to(path.parent)
    child = await back_up(engine, path, keep=1, backup_to=str(tmp_path / "link"))
    assert {file.name for file in backups_in(path.parent)} == {backup_of(child).name}


async def test_a_backup_to_a_named_file_removes_nothing(engine: Engine, path: Path) -> None:
    old = await made(engine, path, 2)
    child = await back_up(engine, path, keep=1, backup_to=str(path.with_name("copy.db")))
    (warning,) = child.warnings
    assert "--backup-to names a" in warning
    assert backups_in(path.parent) == set(old)


async def test_named_files_do_not_count_and_stay(engine: Engine, path: Path) -> None:
    await made(engine, path, 1, backup_to=str(path.with_name("copy.db")))
    child = await back_up(engine, path, keep=1)
    assert path.with_name("copy.db").exists()
    assert removed(child) == []


def _make_unsound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE n(a NOT NULL); INSERT INTO n VALUES (1); PRAGMA writable_schema = ON;")
        db.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE n(a NOT NULL CHECK (a > 5))' WHERE name = 'n'")
        db.commit()


async def test_a_backup_with_a_problem_removes_nothing_and_is_not_removed(engine: Engine, path: Path) -> None:
    old = await made(engine, path, 2)
    _make_unsound(path)
    child = await back_up(engine, path, keep=1)
    assert any("with a problem" in warning for warning in child.warnings)
    assert "not found sound" in child.warnings[-1]
    assert backups_in(path.parent) == {*old, backup_of(child)}
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE n")
    doubtful = backup_of(child)
    child = await back_up(engine, path, keep=1)
    assert_stays(child.warnings, doubtful, Stays.UNCHECKED)
    assert backups_in(path.parent) == {doubtful, backup_of(child)}


@pytest.mark.parametrize("damage", ["index", "table"])
async def test_a_backup_of_a_database_known_to_be_damaged_warns_and_removes_nothing(
    engine: Engine, path: Path, damage: str
) -> None:
    old = await made(engine, path, 2)
    if damage == "index":
        remove_index_entries(path, "order")
    else:
        with path.open("r+b") as file:
            file.seek(36)
            file.write((7).to_bytes(4))  # as if 7 pages were free
    await engine.wait([job.id for job in await engine.submit([replace(request(path), operations=(Operation.CHECK,))])])
    plan = await planned(engine, path, keep=1)
    assert plan.warnings[0] == "no old backup is removed: the database is on record as damaged"
    assert plan.warnings[1].startswith("the backup may copy damage: ")
    child = await back_up(engine, path, keep=1)
    assert {*plan.warnings} <= set(child.warnings)
    assert backups_in(path.parent) == {backup_of(child), *old}
    for one in (child, await back_up(engine, path)):
        assert one.after is not None
        assert one.after["backup_checked"] is False  # so that it does not count once the damage is repaired


async def test_a_backup_after_the_rebuild_of_a_damaged_index_removes_what_its_plan_names(
    engine: Engine, path: Path
) -> None:
    old = await made(engine, path, 2)
    remove_index_entries(path, "order")
    await engine.wait([job.id for job in await engine.submit([replace(request(path), operations=(Operation.CHECK,))])])
    both = replace(request(path, keep=1), operations=(Operation.REINDEX, Operation.BACKUP))
    plan = await engine.plan(both)
    *_, step = plan.operations[1].steps
    assert step.objects == tuple(file.name for file in old)
    assert (plan.warnings, plan.operations[1].warnings) == ((), ())
    (job,) = await engine.wait([job.id for job in await engine.submit([both])])
    assert removed(job.children[1]) == [*step.objects]


async def test_a_backup_that_fails_removes_nothing(engine: Engine, path: Path) -> None:
    old = await made(engine, path, 2)
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)
    child = await back_up(engine, path, keep=1)
    assert child.status is Status.FAILED
    assert backups_in(path.parent) == set(old)


async def test_nothing_is_removed_before_the_new_backup_is_on_record(engine: Engine, path: Path) -> None:
    old = await made(engine, path, 2)
    past = await engine._past_of(resolve(str(path)).url)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        known = replace(past, maintained_files=frozenset())
        *first, last = (await session.plan(Operation.BACKUP, Options(keep=1), known)).steps
        for step in first:
            await session.execute(step, StepContext())
        result = await session.execute(last, StepContext())
    assert result.status is Status.SKIPPED
    assert "history cannot be" in str(result.error)
    assert set(old) < backups_in(path.parent)


async def test_a_plan_without_the_history_removes_nothing(path: Path) -> None:
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        plan = await session.plan(Operation.BACKUP, Options(keep=1))
    assert len(plan.steps) == 2
    (warning,) = plan.warnings
    assert "no job history" in warning


async def test_what_was_pruned_from_the_history_stays(engine: Engine, tmp_path: Path, path: Path) -> None:
    first, second = await made(engine, path, 2)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db:
        db.execute("DELETE FROM step WHERE json_extract(effect, '$.backup') = ?", (str(first),))
        db.commit()
    child = await back_up(engine, path, keep=1)
    assert backups_in(path.parent) == {first, backup_of(child)}
    assert not second.exists()


@pytest.mark.parametrize("written_since", [False, True])
async def test_a_backup_of_a_version_that_recorded_only_its_size(
    engine: Engine, tmp_path: Path, path: Path, written_since: bool
) -> None:
    (first,) = await made(engine, path, 1)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db:
        names = "'$.backup_file', '$.backup_source', '$.backup_checked'"
        db.execute(f"UPDATE step SET effect = json_remove(effect, {names}) WHERE effect IS NOT NULL")
        db.commit()
    if written_since:
        _is_written_in_place(first)
    child = await back_up(engine, path, keep=1)
    assert first.exists() == written_since
    assert backup_of(child).exists()


async def test_a_directory_that_others_can_change(engine: Engine, path: Path, tmp_path: Path) -> None:
    to = _directory(tmp_path / "shared")
    to.chmod(0o777)
    await made(engine, path, 2, backup_to=str(to))
    child = await back_up(engine, path, keep=1, backup_to=str(to))
    assert backups_in(to) == {backup_of(child)} == set(to.iterdir())


async def test_a_directory_that_others_replace_is_not_followed(engine: Engine, path: Path, tmp_path: Path) -> None:
    """Another user bends the way to the directory between the copy and the removal."""
    shared = _directory(tmp_path / "shared")
    to = _directory(shared / "to")
    shared.chmod(0o777)
    old = await made(engine, path, 2, backup_to=str(to))
    past = await engine._past_of(resolve(str(path)).url)
    context = StepContext(store_results=_is_stored, maintained_files=_no_targets)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        known = replace(past, maintained_files=frozenset())
        *first, last = (await session.plan(Operation.BACKUP, Options(keep=1, backup_to=str(to)), known)).steps
        for step in first:
            await session.execute(step, context)
        to.rename(shared / "moved")
        to.symlink_to(shared / "moved")
        result = await session.execute(last, context)
    assert result.status is Status.SKIPPED
    assert {file.name for file in old} < {file.name for file in (shared / "moved").iterdir()}


async def test_a_file_that_cannot_be_removed_is_told_and_the_backup_is_complete(engine: Engine, path: Path) -> None:
    first, second = await made(engine, path, 2)
    if subprocess.run(["chattr", "+i", first], capture_output=True, check=False).returncode:
        pytest.skip("no file can be made immutable here")
    try:
        child = await back_up(engine, path, keep=1)
        assert child.status is Status.COMPLETED
        (warning,) = child.warnings
        assert warning.startswith(f"{first.name} stays: ")
        assert backups_in(path.parent) == {first, backup_of(child)}
        assert not second.exists()
    finally:
        subprocess.run(["chattr", "-i", first], check=True)


KILLED_AT_A_REMOVAL = """
    kill_at, count, unlink = int(sys.argv[3]), 0, os.unlink

    def killing(name, **options):
        global count
        if ".backup-" in str(name) and ".unfinished" not in str(name):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        unlink(name, **options)

    os.unlink = killing
    from engine import Engine, Operation, Request
    from engine.domain.requests import Options

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1) as engine:
            request = Request(target=sys.argv[2], operations=(Operation.BACKUP,), options=Options(keep=2))
            (job,) = await engine.submit([request])
            await engine.wait([job.id])

    asyncio.run(main())
"""


@pytest.mark.parametrize("at", range(1, 7))
async def test_killed_at_each_removal_every_backup_is_whole_or_gone(tmp_path: Path, path: Path, at: int) -> None:
    store = tmp_path / "jobs.db"
    async with Engine.open(store, workers=1) as engine:
        old = await made(engine, path, 4)
    for file in old:
        Path(f"{file}-journal").touch()
    with python(KILLED_AT_A_REMOVAL, store, path, at) as process:
        assert await process.says() == ""
    gone = (at - 1) // 2
    left = {file for file in backups_in(path.parent) if not file.name.endswith("-journal")}
    (new,) = left - set(old)
    assert left == {new, *old[gone:]}
    assert [integrity(file) for file in left] == [[]] * len(left)
    assert {file for file in old if Path(f"{file}-journal").exists()} <= left
    async with Engine.open(store, workers=1) as engine:
        (job,) = await engine.open_jobs()
        (ended,) = await engine.wait([job.id])
    last = backup_of(ended.children[0])
    assert ended.children[0].attempt == 2
    assert {file for file in path.parent.iterdir() if file != path} == {new, last}


async def test_a_cancel_stops_between_two_files(engine: Engine, path: Path) -> None:
    old = await made(engine, path, 4)
    past = replace(await engine._past_of(resolve(str(path)).url), maintained_files=frozenset())
    cancel = asyncio.Event()

    async def no_targets() -> frozenset[str]:
        cancel.set()
        return frozenset()

    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        context = StepContext(cancel=cancel, store_results=_is_stored, maintained_files=no_targets)
        *first, last = (await session.plan(Operation.BACKUP, Options(keep=1), past)).steps
        for step in first:
            await session.execute(step, context)
        result = await session.execute(last, context)
    assert (result.status, result.left.startswith("0 of 4 ")) == (Status.CANCELLED, True)
    assert len(backups_in(path.parent)) == len(old) + 1


SMALL: Final = 4_000_000
ON_A_DISK = """
    import subprocess
    from engine import Engine, Operation, Request
    from engine.domain.requests import Options

    def fill(disk):
        with (disk / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(65536))
            except OSError:
                pass

    def forbid_writing(disk):
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

    async def main():
        store, path, disk = map(Path, sys.argv[1:4])
        async with Engine.open(store, workers=1) as engine:
            async def back_up(**options):
                options = Options(backup_to=str(disk), **options)
                request = Request(target=str(path), operations=(Operation.BACKUP,), options=options)
                (job,) = await engine.submit([request])
                return (await engine.wait([job.id]))[0].children[0]

            for _ in range(2):
                assert (await back_up()).is_complete
            {"full": fill, "read-only": forbid_writing}[sys.argv[4]](disk)
            before = sorted(disk.iterdir())
            ended = [await back_up(keep=1), await back_up(keep=1, force=True)]
            assert sorted(disk.iterdir()) == before, sorted(disk.iterdir())
            print(*(child.status for child in ended), flush=True)

    asyncio.run(main())
"""


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here, not even with unshare")
@pytest.mark.parametrize("state", ["full", "read-only"])
def test_on_a_disk_that_takes_no_new_backup_none_is_removed(tmp_path: Path, path: Path, state: str) -> None:
    disk = _directory(tmp_path / "disk")
    program = "import asyncio, sys\nfrom pathlib import Path\n" + dedent(ON_A_DISK)
    command = shlex.join([sys.executable, "-c", program, *map(str, (tmp_path / "jobs.db", path, disk)), state])
    script = f"mount -t tmpfs -o size={SMALL} none {shlex.quote(str(disk))} && exec {command}"
    done = subprocess.run(in_a_world_of_its_own(script), capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.stdout, done.returncode) == ("failed failed\n", 0), done.stderr


async def test_the_same_request_is_one_job_and_another_number_another(engine: Engine, path: Path) -> None:
    await engine.pause("test")
    (one,) = await engine.submit([request(path, keep=2)])
    (same,) = await engine.submit([request(path, keep=2)], on_duplicate=OnDuplicate.MERGE)
    assert (one.id, one.request.options.keep) == (same.id, 2)


@pytest.mark.parametrize("name", ["sales.db", "a+b.sqlite", "no-suffix", ".hidden", "x.tar.db"])
def test_generated_names_match_the_names_of_this_database_only(name: str) -> None:
    names = generated_names(f"/srv/{name}")
    stem, suffix = Path(name).stem, Path(name).suffix
    assert names.fullmatch(f"{stem}.backup-2026-11-24{suffix}")
    assert names.fullmatch(f"{stem}.backup-2026-11-24.12{suffix}")
    for other in (name, f"x{stem}.backup-2026-11-24{suffix}", f"{stem}.backup-2026-11-24{suffix}-journal"):
        assert names.fullmatch(other) is None
