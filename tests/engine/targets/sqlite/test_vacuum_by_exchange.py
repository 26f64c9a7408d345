"""VACUUM by exchange: a compact copy takes the place of the file with all that belongs to it, or not at all."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Operation, Options, Reason, Request, Status
from engine.domain.errors import TargetBusyError
from engine.system.mounts import is_local_and_unlayered
from engine.targets import resolve
from engine.targets.lock_impact import LockImpact
from engine.targets.sqlite.connection.errors import sqlite_error
from engine.targets.sqlite.planning import copy_costs, planner
from engine.targets.sqlite.running import exchange_process, swap
from engine.targets.sqlite.running.exchange_process import ExchangeProcess
from engine.targets.sqlite.running.work import Work
from engine.targets.sqlite.system import exchange, swapping
from engine.targets.step_execution import StepContext, StepResult
from tests.engine.processes import python
from tests.engine.targets.sqlite.a_session import plan, run
from tests.engine.targets.sqlite.another_process import another_process
from tests.engine.targets.sqlite.small_disks import can_mount
from tests.sqlite_files import content, integrity, make_database, make_notes, rename_to_no_text
from tests.two_users import NOBODY, as_nobody, needs_root, shared_directory
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux proves that no process has a file open")

MODES = pytest.mark.parametrize("mode", ["delete", "wal"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    if not is_local_and_unlayered(str(tmp_path)):
        pytest.skip("a file can be exchanged only on a file system of this machine")
    return make_database(tmp_path / "app.db", rows=400)


@pytest.fixture(autouse=True)
def soon_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other process opens a database here in the moment of its exchange."""
    monkeypatch.setattr(exchange, "LINGERS", 0.0)


def in_mode(path: Path, mode: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {mode}")
    return path


async def exchanged(path: Path, lock_timeout: float = 5, **options: Any) -> StepResult:
    results = await run(path, Operation.VACUUM, lock_timeout, swap=True, **options)
    return next(iter(results.values()))


def left_alone(path: Path, before: dict[str, str], inode: int) -> bool:
    beside = {file.name for file in path.parent.iterdir()} - {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    return (content(path), path.stat().st_ino, beside) == (before, inode, set())


@pytest.mark.parametrize("compared", [False, True])
async def test_a_copy_that_lacks_rows_does_not_take_its_place(
    path: Path, compared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA encoding = 'UTF-16le'; CREATE TABLE item(note); INSERT INTO item VALUES ('a'), ('b')")
    before, inode, vacuum = content(path), path.stat().st_ino, Work.run_vacuum

    async def vacuum_and_change(work: Work) -> list[Any]:
        rows = await vacuum(work)
        (copy,) = path.parent.glob("*.unfinished/copy")
        with closing(sqlite3.connect(copy, isolation_level=None)) as db:
            db.execute("UPDATE item SET note = note || '!'" if compared else "DELETE FROM item WHERE note = 'a'")
        return rows

    monkeypatch.setattr(Work, "run_vacuum", vacuum_and_change)
    result = await exchanged(path, verify=compared)
    assert result.status is Status.FAILED
    assert "rows of item" in str(result.error)
    assert left_alone(path, before, inode)


async def test_a_copy_with_the_same_contents_takes_its_place(path: Path) -> None:
    before, inode = content(path), path.stat().st_ino
    assert (await exchanged(path, verify=True)).status is Status.COMPLETED
    assert content(path) == before
    assert path.stat().st_ino != inode


async def test_a_table_that_cannot_be_compared_is_told(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("CREATE TABLE odd(a); PRAGMA writable_schema = ON")
        rename_to_no_text(db, "odd")
    assert (await exchanged(path)).warnings == ()
    result = await exchanged(path, verify=True)
    assert (result.status, len(result.warnings)) == (Status.COMPLETED, 1)


@MODES
async def test_everything_is_kept_but_the_free_pages(path: Path, mode: str) -> None:
    in_mode(path, mode)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 7")
        db.execute("PRAGMA application_id = 9")
    path.chmod(0o640)
    with suppress(OSError):  # a tmpfs has none before Linux 6.6
        os.setxattr(path, "user.note", b"kept")
    attributes = os.listxattr(path)
    in_place = Path(shutil.copy(path, path.with_name("in place.db")))
    before, old, changes = content(path), path.stat(), path.read_bytes()[24:28]
    result = await exchanged(path)
    await run(in_place, Operation.VACUUM)
    assert (result.status, result.error, result.warnings) == (Status.COMPLETED, None, ())
    assert (content(path), integrity(path)) == (before, [])
    new = path.stat()
    assert (new.st_ino != old.st_ino, new.st_size < old.st_size) == (True, True)
    assert (new.st_mode, new.st_uid, new.st_gid) == (old.st_mode, old.st_uid, old.st_gid)
    assert os.listxattr(path) == attributes
    assert not attributes or os.getxattr(path, "user.note") == b"kept"
    header, expected = path.read_bytes()[:92], in_place.read_bytes()[:92]
    assert header[:24] + header[28:92] == expected[:24] + expected[28:92]
    assert int.from_bytes(header[24:28]) == int.from_bytes(changes) + 1
    assert {file.name for file in path.parent.iterdir()} == {"app.db", "in place.db"}


@MODES
async def test_the_session_goes_on_with_the_new_file_and_keeps_its_lock(path: Path, mode: str) -> None:
    in_mode(path, mode)
    target = resolve(str(path))
    async with target.connect(lock_timeout=1) as session:
        await session.lock()
        planned = await session.plan(Operation.VACUUM, Options(swap=True))
        (step,) = planned.plan.steps
        assert (await planned.execute(step, StepContext())).status is Status.COMPLETED
        facts = await planned.facts()
        assert (facts["free_pages"], facts["file"]) == (0, await target.identify())
        assert facts["replaced_file"] != facts["file"]
        async with target.connect(lock_timeout=0) as another:
            with pytest.raises(TargetBusyError):
                await another.lock()
    async with target.connect(lock_timeout=0) as another:
        assert await another.lock() == ()


@MODES
async def test_who_has_it_open_keeps_it_from_being_exchanged(path: Path, mode: str) -> None:
    before, inode = content(in_mode(path, mode)), path.stat().st_ino
    with another_process(path, "SELECT count(*) FROM item") as other:
        result = await exchanged(path, lock_timeout=0)
        assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
        assert str(result.error).startswith(f"process {other} (")
        assert str(result.error).endswith(" has it open: nothing changed")
        assert left_alone(path, before, inode)
        async with resolve(str(path)).connect(lock_timeout=1, planning=True) as session:
            planned = await session.plan(Operation.VACUUM, Options(swap=True))
            waiting = await planned.find_blockers(has_window=False)
        assert waiting.startswith(f"it would have to wait: process {other} (")
    assert (await exchanged(path)).status is Status.COMPLETED


def takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the copying."""
    for name in ("_EXCHANGE", "_EXCHANGED", "_SYNC", "_OBJECT_CHECKED"):
        monkeypatch.setattr(copy_costs, name, 0.0)


async def test_the_plan_offers_it_where_it_gains_something(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await plan(path, Operation.VACUUM)).offer == ""
    monkeypatch.setattr(planner, "WORTH_AN_EXCHANGE", 0)
    assert (await plan(path, Operation.VACUUM)).offer == ""  # it takes longer
    takes_no_time(monkeypatch)
    assert (await plan(path, Operation.VACUUM)).offer.startswith("--swap takes ")
    with another_process(path, "SELECT count(*) FROM item"):
        assert (await plan(path, Operation.VACUUM)).offer == ""


async def test_who_only_reads_the_file_as_a_backup_program_does_keeps_it_from_being_exchanged(path: Path) -> None:
    before, inode = content(path), path.stat().st_ino
    with path.open("rb"):
        assert "nothing changed" in str((await exchanged(path, lock_timeout=0)).error)
    assert left_alone(path, before, inode)


LOOKS_UP = """
    found = os.open(sys.argv[1], os.O_PATH)
    print("looked up", flush=True)
    sys.stdin.readline()
    Path(sys.argv[2]).write_bytes(Path(f"/proc/self/fd/{found}").read_bytes())
"""
LOOKS_UP_AND_MEASURES = """
    found = os.open(sys.argv[1], os.O_PATH)
    print("looked up", flush=True)
    sys.stdin.readline()
    print(os.fstat(found).st_size, flush=True)
"""
Completed = Callable[..., str]


@pytest.fixture
def at_the_end(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Takes what happens once the copy is complete, and not yet in place."""
    completed: Completed = swap._completed

    def take(do: Callable[[], object]) -> None:
        def and_then(*arguments: Any) -> str:
            said = completed(*arguments)
            do()
            return said

        monkeypatch.setattr(swap, "_completed", and_then)

    return take


def in_another_process(path: Path, *statements: str) -> None:
    with another_process(path, *statements):
        pass


@MODES
async def test_what_was_written_meanwhile_is_not_lost(
    path: Path, mode: str, at_the_end: Callable[[Callable[[], object]], None]
) -> None:
    in_mode(path, mode)
    inode = path.stat().st_ino
    at_the_end(lambda: in_another_process(path, "INSERT INTO item VALUES ('new', 1, 'a new row')"))
    result = await exchanged(path)
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert result.error == f"{exchange.CHANGED}: nothing changed"
    assert path.stat().st_ino == inode
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT note FROM item WHERE code = 'new'").fetchall() == [("a new row",)]


@pytest.mark.parametrize("change", ["mode", "link", "journal", "another file"])
async def test_a_file_that_is_not_what_it_was_stays(
    path: Path, change: str, at_the_end: Callable[[Callable[[], object]], None]
) -> None:
    other = path.with_name("other.db")
    shutil.copy(path, other)
    changes: dict[str, Callable[[], object]] = {
        "mode": lambda: path.chmod(0o600 if path.stat().st_mode & 0o077 else 0o644),
        "link": lambda: os.link(path, path.with_name("second name")),
        "journal": lambda: Path(f"{path}-journal").write_bytes(b"a journal"),
        "another file": lambda: other.replace(path),
    }
    at_the_end(changes[change])
    before = content(path)
    result = await exchanged(path)
    reason = None if change == "another file" else Reason.TARGET_BUSY  # to which a retry would go
    assert (result.status, result.reason) == (Status.FAILED, reason)
    assert content(path) == before
    assert not [*path.parent.glob("*.unfinished")]


@MODES
async def test_a_cancel_leaves_the_old_file(
    path: Path, mode: str, at_the_end: Callable[[Callable[[], object]], None]
) -> None:
    before, inode = content(in_mode(path, mode)), path.stat().st_ino
    cancel = asyncio.Event()
    loop = asyncio.get_running_loop()
    at_the_end(lambda: asyncio.run_coroutine_threadsafe(_set(cancel), loop).result())
    async with resolve(str(path)).connect(lock_timeout=5) as session:
        planned = await session.plan(Operation.VACUUM, Options(swap=True))
        result = await planned.execute(planned.plan.steps[0], StepContext(cancel=cancel))
    assert (result.status, result.left) == (Status.CANCELLED, "the unfinished copy was removed")
    assert left_alone(path, before, inode)


async def _set(event: asyncio.Event) -> None:
    event.set()


async def test_a_cancel_ends_the_wait_for_those_who_have_it_open(path: Path) -> None:
    before, inode = content(path), path.stat().st_ino
    cancel = asyncio.Event()
    with another_process(path, "SELECT count(*) FROM item"):
        async with resolve(str(path)).connect(lock_timeout=600) as session:
            planned = await session.plan(Operation.VACUUM, Options(swap=True))
            context = StepContext(cancel=cancel, report=lambda _: cancel.set())
            result = await planned.execute(planned.plan.steps[0], context)
    assert result.status is Status.CANCELLED
    assert left_alone(path, before, inode)


async def test_a_cancel_as_the_copy_is_compared_leaves_no_error_unread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO item(note) VALUES (hex(zeroblob(100000)))")  # asks for each such value whether to go on
    unread: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unread.append(context))

    async def cancelled(_: object, work: Work, file: int) -> str:
        work.cancel.set()
        raise sqlite_error(sqlite3.SQLITE_INTERRUPT, "SQLITE_INTERRUPT", "interrupted")

    monkeypatch.setattr(swap, "_unsound", cancelled)
    before, inode = content(path), path.stat().st_ino
    assert (await exchanged(path, verify=True)).status is Status.CANCELLED
    gc.collect()
    assert unread == []
    assert left_alone(path, before, inode)


async def test_a_process_that_was_opening_the_old_file_gets_no_database(path: Path) -> None:
    old = path.with_name("old.db")
    with python(LOOKS_UP, path, old) as late:
        assert await late.says() == "looked up"
        assert (await exchanged(path)).status is Status.COMPLETED
        late.tell()
        assert await late.ended() == 0
    with closing(sqlite3.connect(old)) as db, pytest.raises(sqlite3.DatabaseError) as raised:
        db.execute("CREATE TABLE lost (a)")
    assert raised.value.sqlite_errorname == "SQLITE_NOTADB"


async def test_if_the_process_that_exchanges_is_killed_the_old_file_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, inode = content(path), path.stat().st_ino
    (tmp_path / "bin").mkdir()
    killed = tmp_path / "bin" / "killed.py"
    killed.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr(exchange, "__file__", str(killed))
    result = await exchanged(path)
    assert (result.status, result.reason) == (Status.FAILED, None)  # to wait for others would not help
    assert result.error == "the process that exchanges it was killed: nothing changed"
    assert (content(path), path.stat().st_ino) == (before, inode)


async def test_the_process_that_exchanges_ends_where_there_is_nothing_to_exchange() -> None:
    process = ExchangeProcess.start()
    process.end()
    await asyncio.gather(*exchange_process._ending)
    assert process._process.returncode == 0


async def test_it_says_that_it_stays_because_another_process_has_the_old_file_open(path: Path) -> None:
    channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    old = os.open(path, os.O_RDWR)
    with channel, theirs:
        with python("opened = Path(sys.argv[1]).open()\nprint('opened', flush=True)\nsys.stdin.read()", path) as other:
            assert await other.says() == "opened"
            lingering = asyncio.ensure_future(asyncio.to_thread(exchange._linger, old, 0.0, theirs))
            assert await asyncio.to_thread(channel.recv, exchange.LONGEST_MESSAGE) == exchange.STAYS
            assert not lingering.done()
        await lingering
    os.close(old)


async def test_the_space_of_the_old_file_is_given_back_though_a_process_has_looked_it_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LINGERS", 2.0)
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO item(note) VALUES (hex(zeroblob(200000)))")
        db.commit()
    with python(LOOKS_UP_AND_MEASURES, path) as other:
        assert await other.says() == "looked up"
        assert (await exchanged(path)).status is Status.COMPLETED
        await asyncio.gather(*exchange_process._ending)
        other.tell()
        assert await other.says() == str(exchange._REMAINS)


async def test_if_no_process_can_be_started_the_old_file_stays_and_stays_locked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, inode = content(path), path.stat().st_ino
    async with resolve(str(path)).connect(lock_timeout=1) as session:
        await session.lock()
        planned = await session.plan(Operation.VACUUM, Options(swap=True))
        monkeypatch.setattr(sys, "executable", "/no python")
        result = await planned.execute(planned.plan.steps[0], StepContext())
        monkeypatch.undo()
        assert result.error == "no process can be started (No such file or directory): nothing changed"
        async with resolve(str(path)).connect(lock_timeout=0) as another:
            with pytest.raises(TargetBusyError):
                await another.lock()
    assert left_alone(path, before, inode)


async def test_a_cancel_while_the_process_starts_leaves_no_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, inode, start, loop = content(path), path.stat().st_ino, ExchangeProcess.start, asyncio.get_running_loop()

    def cancelled() -> ExchangeProcess:
        loop.call_soon_threadsafe(exchanging.cancel)
        return start()

    monkeypatch.setattr(ExchangeProcess, "start", cancelled)
    exchanging = asyncio.create_task(exchanged(path))
    with pytest.raises(asyncio.CancelledError):
        await exchanging
    await asyncio.gather(*exchange_process._ending)
    assert left_alone(path, before, inode)


async def test_the_end_of_a_process_that_stayed_is_collected_at_the_next_exchange(path: Path) -> None:
    stayed = subprocess.Popen([sys.executable, "-c", ""])
    exchange_process._staying.append(stayed)
    await asyncio.to_thread(os.waitid, os.P_PID, stayed.pid, os.WEXITED | os.WNOWAIT)
    assert (await exchanged(path)).status is Status.COMPLETED
    assert (stayed.returncode, exchange_process._staying) == (0, [])


async def test_if_the_old_file_cannot_be_written_after_the_exchange_that_is_told(path: Path) -> None:
    old = os.open(path, os.O_RDONLY)  # as a stand-in for a disk that fails
    try:
        answer = exchange.retire(old, old)
    finally:
        os.close(old)
    assert answer == {"refused": "", "warning": "the old file could not be made unusable (Bad file descriptor)"}


@pytest.mark.parametrize("is_opening", [True, False])
def test_a_file_that_a_process_is_opening_is_unusable_before_anything_else(path: Path, is_opening: bool) -> None:
    """Also where the process that exchanges gets no further, here because the directory cannot be synced."""
    size, old = path.stat().st_size, os.open(path, os.O_RDWR)
    no_directory, end = os.pipe()
    try:
        fcntl.fcntl(old, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(old, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with ExitStack() as stack:
            if is_opening:
                stack.enter_context(python("Path(sys.argv[1]).open()", path))
                wait_until(lambda: fcntl.fcntl(old, fcntl.F_GETLEASE) != fcntl.F_WRLCK)
            assert "could not be synced" in exchange.retire(old, no_directory)["warning"]
            fcntl.fcntl(old, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        for descriptor in (old, no_directory, end):
            os.close(descriptor)
    assert (path.stat().st_size < size) is is_opening
    with closing(sqlite3.connect(path)) as db:
        if is_opening:
            with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
                db.execute("CREATE TABLE lost (a)")
        else:
            db.execute("SELECT * FROM item")


async def test_if_the_process_fails_after_the_exchange_the_old_file_is_made_unusable_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = Path(exchange.__file__).read_text()
    (tmp_path / "bin").mkdir()
    failing = tmp_path / "bin" / "failing.py"
    failing.write_text(code.replace("return retire(", "raise OSError(5, 'Input/output error')\n    return retire("))
    monkeypatch.setattr(exchange, "__file__", str(failing))
    inode, old = path.stat().st_ino, path.with_name("old.db")
    with python(LOOKS_UP, path, old) as late:
        assert await late.says() == "looked up"
        assert (await exchanged(path)).status is Status.COMPLETED
        late.tell()
        assert await late.ended() == 0
    assert path.stat().st_ino != inode
    assert old.read_bytes().startswith(b"A compact copy has replaced this database.")


def keep_journal(path: Path, mode: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("INSERT INTO item VALUES ('new', 1, 'a new row')")


KEPT = pytest.mark.parametrize("kept", ["persist", "truncate"])


@KEPT
async def test_its_plan_is_refused_where_an_application_keeps_its_journal(
    path: Path, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_journal(path, kept)
    planned = await plan(path, Operation.VACUUM, swap=True)
    assert str(planned.refused).startswith("an application keeps its journal beside the database")
    assert planned.steps == ()
    monkeypatch.setattr(planner, "WORTH_AN_EXCHANGE", 0)
    assert (await plan(path, Operation.VACUUM)).offer == ""


@KEPT
async def test_it_is_refused_before_the_copy_where_an_application_keeps_its_journal_after_the_plan(
    path: Path, kept: str
) -> None:
    async with resolve(str(path)).connect(lock_timeout=1) as session:
        await session.lock()
        planned = await session.plan(Operation.VACUUM, Options(swap=True))
        (step,) = planned.plan.steps
        keep_journal(path, kept)
        before, inode = content(path), path.stat().st_ino
        result = await planned.execute(step, StepContext())
    assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
    assert str(result.error).startswith("an application keeps its journal beside the database")
    assert (content(path), path.stat().st_ino) == (before, inode)


@MODES
async def test_its_plan_tells_what_happens_at_the_exchange(path: Path, mode: str) -> None:
    (step,) = (await plan(in_mode(path, mode), Operation.VACUUM, swap=True)).steps
    blocked = LockImpact.NONE if mode == "wal" else LockImpact.READERS_BEHIND_A_WRITER
    assert (step.lock.impact, step.lock.momentary) == (blocked, LockImpact.EVERYONE)
    for told in ("once no other process has the file open", "checked and synced", "ends as busy and nothing changes"):
        assert told in step.reason
    assert (
        "checked, compared by a SHA-256" in (await plan(path, Operation.VACUUM, swap=True, verify=True)).steps[0].reason
    )


async def test_its_plan_tells_what_is_reclaimable_as_the_advice_does(path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM item WHERE rowid % 2")
    (tmp_path / "store").mkdir()
    async with Engine.open(tmp_path / "store" / "jobs.db", workers=0) as engine:
        plans = [
            await engine.plan(Request(target=str(path), operations=(Operation.VACUUM,), options=Options(swap=swap)))
            for swap in (False, True)
        ]
    in_place, exchange = (planned.operations[0].steps[0].reason for planned in plans)
    assert "reclaimable" in in_place
    assert exchange.startswith(f"{in_place}; begins once")


async def test_it_waits_until_dbtend_itself_has_the_database_open_once(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("SELECT count(*) FROM item").fetchall()
        result = await exchanged(path, lock_timeout=0)
        assert result.error == "dbtend itself has the database open twice: nothing changed"
    assert (await exchanged(path)).status is Status.COMPLETED


async def test_full_text_indexes_are_rebuilt_after_it_where_that_is_forced(tmp_path: Path) -> None:
    path = make_notes(tmp_path / "notes.db")
    assert "use --force" in str((await plan(path, Operation.VACUUM, swap=True)).refused)
    results = await run(path, Operation.VACUUM, swap=True, force=True)
    assert {result.status for result in results.values()} == {Status.COMPLETED}
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT body FROM found WHERE found MATCH 'apples'").fetchall() == [("apples only",)]


async def _refusal(path: Path) -> str:
    return str((await plan(path, Operation.VACUUM, swap=True)).refused)


@pytest.mark.parametrize(
    ("beside", "name"),
    [((".app.db-litestream",), "Litestream"), (("raft.db", "raft"), "rqlite"), ((".stfolder",), "Syncthing"),
     (("app.db-pos",), "LiteFS")],
)  # fmt: skip
async def test_it_is_refused_where_a_program_copies_the_database(
    path: Path, beside: tuple[str, ...], name: str
) -> None:
    for one in beside:
        path.with_name(one).mkdir()
    assert await _refusal(path) == f"{name} would lose track of the file: use --no-swap"


MOUNTS = 'mount --bind "$0" "$1" && echo mounted && read -r line'


@contextmanager
def in_a_container(path: Path, place: Path) -> Iterator[None]:
    """While inside, a process in a mount namespace of its own has the file mounted at `place`."""
    place.touch()
    command = ["unshare", "--mount", "sh", "-c", MOUNTS, str(path), str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as container:
        assert container.stdout is not None
        assert container.stdout.readline() == "mounted\n"
        yield
        container.communicate("over\n")


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here, not even with unshare")
async def test_it_is_refused_where_a_container_mounts_the_file_by_itself(path: Path) -> None:
    with in_a_container(path, path.with_name("inside.db")):
        assert (await _refusal(path)).startswith("a container mounts the file by itself")
    assert (await plan(path, Operation.VACUUM, swap=True)).refused is None


async def test_it_is_refused_where_the_system_cannot_exchange_files(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swapping, "can_swap_names", lambda: False)
    assert await _refusal(path) == "the C library of this system cannot exchange two files: use --no-swap"


@needs_root
async def test_it_is_refused_where_others_can_change_the_directory() -> None:
    with shared_directory() as directory:
        (below := directory / "below").mkdir()
        refusal = await _refusal(make_database(below / "app.db", rows=10))
    assert refusal.startswith(f"others can change {directory}: let only its owner write there, or")


@needs_root
def test_it_is_refused_where_a_new_file_cannot_get_the_group() -> None:
    with shared_directory(0o755) as directory:
        path = make_database(directory / "app.db", rows=10)
        for group, mode, refusal in (
            (0, 0o755, "only a member of its group can give a new file that group: use --no-swap"),
            (0, 0o2755, None),
            (NOBODY, 0o755, None),
        ):
            os.chown(path, NOBODY, group)
            os.chown(directory, NOBODY, group)
            directory.chmod(mode)
            as_nobody(partial(_assert_refused, str(path), refusal))


def _assert_refused(path: str, refusal: str | None) -> None:
    assert swapping.problem_with(path) == refusal


async def test_the_owner_is_told_that_others_can_change_the_directory(path: Path) -> None:
    path.parent.chmod(0o777)
    refusal = await _refusal(path)
    assert refusal.startswith(f"others can change {path.parent}: let only its owner write there, or")


async def test_it_is_refused_where_no_directory_beside_it_can_have_so_long_a_name(path: Path) -> None:
    long = path.rename(path.with_name("n" * 233 + ".db"))
    assert await _refusal(long) == "the name of the file is too long for one with a copy beside it: use --no-swap"
    fits = long.rename(path.with_name("n" * 232 + ".db"))
    assert (await plan(fits, Operation.VACUUM, swap=True)).refused is None


@needs_root
async def test_it_is_refused_before_the_copy_where_bytes_can_only_be_added(path: Path) -> None:
    if subprocess.run(["chattr", "+a", path], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this file system has no such attribute")
    try:
        result = await exchanged(path)
    finally:
        subprocess.run(["chattr", "-a", path], check=True)
    assert (result.reason, result.error) == (Reason.REFUSED, swapping.CANNOT_BE_WRITTEN)


JOURNALS = """
    from engine.targets.sqlite.system.swapping import lacks_file_system_journal
    print(lacks_file_system_journal(sys.argv[1]))
"""


@needs_root
@pytest.mark.parametrize("journal", ["^has_journal", "has_journal"])
async def test_a_file_system_without_a_journal_is_known(tmp_path: Path, journal: str) -> None:
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(20_000_000)
    made = ["mkfs.ext4", "-q", "-O", journal, str(image)]
    mounted = ["unshare", "--mount", "sh", "-c", 'mount -o loop "$0" "$1" && shift && exec "$@"', str(image), str(disk)]
    if not shutil.which(made[0]) or subprocess.run([*mounted[:4], "true"], check=False).returncode:
        pytest.skip("no file system can be made or mounted here")
    subprocess.run(made, check=True)
    if subprocess.run([*mounted, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no file system can be mounted here")
    with python(JOURNALS, disk / "app.db", within=mounted) as process:
        assert await process.says() == str(journal == "^has_journal")


async def test_where_the_file_system_has_no_journal_the_plan_says_so_and_none_offers_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "WORTH_AN_EXCHANGE", 0)
    takes_no_time(monkeypatch)
    monkeypatch.setattr(swapping, "lacks_file_system_journal", lambda _: False)
    assert (await plan(path, Operation.VACUUM)).offer.startswith("--swap takes ")
    assert (await plan(path, Operation.VACUUM, swap=True)).warnings == ()
    monkeypatch.setattr(swapping, "lacks_file_system_journal", lambda _: True)
    assert (await plan(path, Operation.VACUUM)).offer == ""
    assert (await plan(path, Operation.VACUUM, swap=True)).warnings == (swapping.NO_FILE_SYSTEM_JOURNAL,)


async def test_jobs_that_wait_for_the_database_follow_it(path: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    async with Engine.open(tmp_path / "store" / "jobs.db", workers=1) as engine:
        request = Request(
            target=str(path),
            operations=(Operation.CHECK, Operation.VACUUM, Operation.ANALYZE),
            options=Options(swap=True),
        )
        (submitted,) = await engine.submit([request])
        (job,) = await engine.wait([submitted.id])
        assert [child.status for child in job.children] == [Status.COMPLETED] * 3
        advice = await engine.advise(str(path))
    with closing(sqlite3.connect(tmp_path / "store" / "jobs.db")) as store:
        keys = {key for (key,) in store.execute("SELECT target_key FROM child_job WHERE operation = 'analyze'")}
    assert keys == {await resolve(str(path)).identify()}
    assert not [one for one in advice if one.operation is Operation.CHECK and "another file" in one.reason]
