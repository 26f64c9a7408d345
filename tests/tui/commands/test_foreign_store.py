"""A store that another user can write is refused: it names what dbtend runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.terminal import Terminal
from engine.domain.errors import StoreError
from engine.store.sqlite import connections
from engine.system import private_files
from tests.tui.command_line import CommandLine
from tests.two_users import NOBODY, as_nobody, needs_root, shared_directory

COMMANDS = ("history", "show 1", "run sales.db --op analyze", "worker --idle-exit 0", "cancel 1", "retry 1",
            "workers", "pause", "resume", "prune", "pin 1", "run sales.db --op analyze --detach",
            "history --read-only")  # fmt: skip


@pytest.fixture
def shared() -> Iterator[Path]:
    with shared_directory() as directory:
        yield directory


def store_with_a_job(path: Path, target: Path) -> bytes:
    """What an attacker wants root to run. Made here: the other user may not be able to read the code for it."""
    connections.create_file(path)
    with closing(connections.connect_writer(path)) as store:
        store.execute(
            "INSERT INTO parent_job (target, target_key, engine, operations, options, created_at, changed_at)"
            ' VALUES (?1, ?1, \'sqlite\', \'["vacuum"]\', \'{"on_failure": "continue", "lock_timeout": 5}\', 1, 1)',
            (f"sqlite://{target}",),
        )
        store.execute(
            "INSERT INTO child_job (parent_id, ordinal, target_key, operation, changed_at)"
            " VALUES (1, 1, ?, 'vacuum', 1)",
            (f"sqlite://{target}",),
        )
    return path.read_bytes()


def put(content: bytes, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o666)


@needs_root
def test_a_job_of_somebody_else_is_not_run(dbtend: CommandLine, shared: Path, sales: Path, tmp_path: Path) -> None:
    store = shared / "own" / "jobs.db"
    content = store_with_a_job(tmp_path / "made.db", sales)
    as_nobody(lambda: put(content, store))
    before = sales.stat()
    result = dbtend.process("worker", "--idle-exit", "0.1", "--store", store)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"dbtend: {store}: ")
    assert "belongs to nobody" in result.err
    assert (sales.stat().st_mtime_ns, sales.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def somebody_elses_log(store: Path) -> str:
    as_nobody(lambda: store.with_name("jobs.db-wal").touch())
    return f"{store}-wal: belongs to nobody"


def somebody_elses_journal(store: Path) -> str:
    as_nobody(lambda: store.with_name("jobs.db-journal").touch())
    return f"{store}-journal: belongs to nobody"


def somebody_elses_directory(store: Path) -> str:
    as_nobody(store.with_name("jobs.db.d").mkdir)
    return f"{store}.d: belongs to nobody"


def link_for_a_directory(store: Path) -> str:
    as_nobody(lambda: store.with_name("jobs.db.d").symlink_to("/root"))
    return f"{store}.d: is a symbolic link"


def nothing_yet(store: Path) -> str:
    store.parent.chmod(0o777)
    return f"{store.parent}: can be written by everybody"


def writable_store(store: Path) -> str:
    store.touch()
    store.chmod(0o622)
    return f"{store}: can be written by everybody"


def directory_of_somebody_else(store: Path) -> str:
    os.chown(store.parent, NOBODY, NOBODY)
    return f"{store.parent}: belongs to nobody"


WAYS = (somebody_elses_log, somebody_elses_journal, somebody_elses_directory, link_for_a_directory, nothing_yet,
        writable_store, directory_of_somebody_else)  # fmt: skip


@needs_root
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_whatever_somebody_else_could_change_is_refused(
    way: Callable[[Path], str], dbtend: CommandLine, tmp_path: Path, sales: Path
) -> None:
    with shared_directory(0o1777) as shared:
        store = shared / "jobs.db"
        said = way(store)
        result = dbtend("run", sales, "--op", "analyze", "--store", store)
        assert result.code == 2
        assert result.err.startswith(f"dbtend: {said}")
        assert result.err.count("\n") == 1
        doctor = dbtend("doctor", "--store", store)
        assert doctor.code == 1
        assert said.split(": ")[1] in doctor.out


@needs_root
@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_says_so(line: str, dbtend: CommandLine, shared: Path, sales: Path) -> None:
    store = shared / "jobs.db"
    store.touch(0o600)
    result = dbtend(*line.replace("sales.db", str(sales)).split(), "--store", store)
    assert result.code == 2
    assert result.err.startswith(f"dbtend: {shared}: ")
    assert f"chmod o-w {shared}" in result.err
    assert result.err.count("\n") == 1
    assert store.stat().st_size == 0
    assert not store.with_name("jobs.db.d").exists()


def test_the_doctor_tells_of_a_config_that_others_can_change(dbtend: CommandLine) -> None:
    dbtend.configure("")
    assert "permissions" not in dbtend("doctor").out
    config = dbtend.home / "config-home" / "dbtend" / "config.toml"
    config.chmod(0o606)
    assert f"chmod o-w {config}" in dbtend("doctor").out


def test_the_console_does_not_open(dbtend: CommandLine, tmp_path: Path, sales: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o707)
    command = [sys.executable, "-m", "tui.cli", str(sales), "--store", str(directory / "jobs.db")]
    with Terminal(command, environment=dbtend.environment, columns=200) as terminal:
        terminal.read_until("can be written by everybody, who could change what dbtend runs (chmod o-w")
    assert list(directory.iterdir()) == []


@needs_root
def test_in_a_sticky_directory_what_is_ours_stays_ours(dbtend: CommandLine, sales: Path) -> None:
    with shared_directory(0o1777) as shared:
        assert dbtend("run", sales, "--op", "analyze", "--store", shared / "jobs.db").code == 0
        assert dbtend("history", "--store", shared / "jobs.db").code == 0


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077, 0o777])
def test_what_is_made_is_for_us_alone_whatever_the_umask(umask: int, dbtend: CommandLine, sales: Path) -> None:
    before = os.umask(umask)
    try:
        store = dbtend.home / "a" / "b" / "jobs.db"
        assert dbtend("run", sales, "--op", "analyze", "--store", store).code == 0
    finally:
        os.umask(before)
    for directory in (dbtend.home, dbtend.home / "a", store.parent, store.with_name("jobs.db.d")):
        assert directory.stat().st_mode & 0o7777 == 0o700
    assert store.stat().st_mode & 0o7777 == 0o600


def test_a_store_of_a_group_of_one_is_our_own(dbtend: CommandLine, sales: Path, tmp_path: Path) -> None:
    directory = tmp_path / "own"
    directory.mkdir()
    directory.chmod(0o770)
    os.chown(directory, -1, 54_321 if os.geteuid() == 0 else os.getegid())  # nobody is in it
    assert dbtend("run", sales, "--op", "analyze", "--store", directory / "jobs.db").code == 0


@needs_root
def test_what_is_put_beside_the_store_as_it_is_opened_is_found(tmp_path: Path) -> None:
    store = connections.create_file(tmp_path / "jobs.db")
    with closing(connections.connect_writer(store)) as connection:
        connection.execute("SELECT * FROM parent_job").fetchall()
        private_files.require_private_descriptors(store)
        os.chown(f"{store}-wal", NOBODY, NOBODY)
        with pytest.raises(StoreError, match=r"jobs\.db-wal: belongs to"):
            private_files.require_private_descriptors(store)


@pytest.mark.parametrize("name", ["worker.log", "worker.lock"])
def test_a_link_in_place_of_the_log_or_the_lock_is_not_followed(
    name: str, dbtend: CommandLine, sales: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep")
    directory = private_files.private_directory(dbtend.store)
    (directory / name).symlink_to(precious)
    result = dbtend("run", sales, "--op", "analyze", "--detach")
    assert result.code == 2
    assert f"{directory / name}: " in result.err
    assert "symbolic link" in result.err
    assert precious.read_text() == "keep"
