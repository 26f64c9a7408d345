"""Who holds locks on a database, seen from another process and without touching the file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from engine.system.lock_holders import (
    FileId,
    Holder,
    Use,
    format_holders,
    holders,
    parse_locks,
    short_command,
    uses_by_process,
)
from tests.engine.targets.sqlite.another_process import another_process
from tests.sqlite_files import make_database, transaction

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell who holds a lock")

READ = "SELECT * FROM item"
WHOLE_READ = "SELECT count(*) FROM item"
WRITE = "INSERT INTO item(note) VALUES ('x')"
EXCLUSIVE_MODE = "PRAGMA locking_mode = EXCLUSIVE"


def uses(path: Path) -> list[tuple[int | None, str]]:
    found = holders(str(path))
    assert found is not None
    return [(holder.pid, holder.lock) for holder in found]


@linux_only
@pytest.mark.parametrize(
    ("journal_mode", "statements", "use"),
    [
        ("delete", [], None),
        ("delete", [WHOLE_READ], None),
        ("delete", [READ], Use.READ),
        ("delete", ["BEGIN", WHOLE_READ], Use.READ),
        ("delete", ["BEGIN IMMEDIATE"], Use.RESERVED),
        ("delete", ["BEGIN", WRITE], Use.RESERVED),
        ("delete", ["BEGIN EXCLUSIVE"], Use.EXCLUSIVE),
        ("delete", [EXCLUSIVE_MODE, WRITE], Use.EXCLUSIVE),
        ("wal", [], None),
        ("wal", [WHOLE_READ], Use.OPEN),
        ("wal", [READ], Use.READ),
        ("wal", ["BEGIN IMMEDIATE"], Use.WRITE),
        ("wal", ["BEGIN EXCLUSIVE"], Use.WRITE),
        ("wal", [EXCLUSIVE_MODE, WHOLE_READ], Use.EXCLUSIVE),
    ],
)
def test_what_another_process_does_is_told(
    tmp_path: Path, journal_mode: str, statements: list[str], use: Use | None
) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode=journal_mode)
    assert uses(path) == []
    with another_process(path, *statements) as pid:
        assert uses(path) == ([] if use is None else [(pid, use)])
    assert uses(path) == []


@linux_only
def test_a_writer_that_waits_for_a_reader_comes_first(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    with another_process(path, READ) as reader, another_process(path, "BEGIN", WRITE, "COMMIT") as writer:
        assert uses(path) == [(writer, Use.PENDING), (reader, Use.READ)]


@linux_only
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_looking_leaves_our_own_locks_alone_and_does_not_tell_of_them(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode=journal_mode)
    with transaction(path, "IMMEDIATE"):
        assert uses(path) == []
        refused = (
            "import sqlite3, sys\n"
            "try: sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')\n"
            "except sqlite3.OperationalError: print('ready', flush=True)\n"
            "else: sys.exit('our lock is gone')\n"
            "sys.stdin.read()"
        )
        with another_process(path, program=refused):
            pass


@linux_only
def test_a_database_is_known_under_the_name_of_a_link_to_it(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode="wal")
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with another_process(path, READ) as pid:
        assert uses(link) == [(pid, Use.READ)]


@linux_only
def test_a_lock_that_belongs_to_no_process_is_told_too(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    program = (  # as SQLite libraries in other languages lock: F_OFD_SETLK of the reserved byte
        "import fcntl, os, struct, sys\n"
        "database = os.open(sys.argv[1], os.O_RDWR)\n"
        "fcntl.fcntl(database, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0x40000001, 1, 0))\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with another_process(path, program=program):
        found = holders(str(path))
    assert found == (Holder(None, "", Use.RESERVED),)
    assert format_holders(found) == "a process that Linux does not name is about to write it"


@linux_only
def test_a_process_is_named_by_its_program(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    with another_process(path, READ) as pid:
        (holder,) = holders(str(path)) or ()
    assert holder.command.startswith(Path(sys.executable).name)
    assert format_holders([holder]) == f"process {pid} ({holder.command}) reads it"


@linux_only
def test_nobody_holds_what_does_not_exist(tmp_path: Path) -> None:
    assert holders(str(tmp_path / "nowhere" / "a.db")) == ()


def test_a_checkpoint_is_told_from_a_writer_although_it_may_keep_writers_out() -> None:
    held = "1: POSIX  ADVISORY  WRITE 7 08:01:5 120 120\n2: POSIX  ADVISORY  WRITE 7 08:01:5 121 121\n"
    assert uses_by_process(parse_locks(held), set(), {FileId(os.makedev(8, 1), 5)}) == {7: Use.CHECKPOINT}


def test_only_record_locks_that_are_held_are_read() -> None:
    text = """\
1: POSIX  ADVISORY  WRITE 1149 fe:00:11214872 1073741825 1073741825
1: -> POSIX  ADVISORY  WRITE 1150 fe:00:11214872 1073741825 1073741825
2: FLOCK  ADVISORY  WRITE 880 fe:00:11214872 0 EOF
3: OFDLCK ADVISORY  READ -1 00:27:5 0 EOF
4: LEASE  ACTIVE    READ 881 fe:00:11214872 0 EOF
what a future kernel may write
"""
    assert list(parse_locks(text)) == [
        (1149, True, FileId(os.makedev(0xFE, 0), 11214872), 1073741825, 1073741825),
        (-1, False, FileId(os.makedev(0, 0x27), 5), 0, float("inf")),
    ]


def test_locks_of_other_files_and_other_bytes_count_for_nothing() -> None:
    locks = list(parse_locks("1: POSIX  ADVISORY  WRITE 7 08:01:5 0 99\n2: POSIX  ADVISORY  WRITE 7 08:01:6 0 EOF\n"))
    assert uses_by_process(locks, {FileId(os.makedev(8, 1), 5)}, set()) == {}
    assert uses_by_process(locks, {FileId(os.makedev(8, 2), 6)}, set()) == {}
    assert uses_by_process(locks, {FileId(os.makedev(8, 1), 6)}, set()) == {7: Use.EXCLUSIVE}


def test_several_holders_read_as_one_sentence() -> None:
    some = [Holder(pid, "app", Use.READ) for pid in range(1, 6)]
    assert format_holders([]) == ""
    assert format_holders(some[:2]) == "process 1 (app) reads it and process 2 (app) reads it"
    assert format_holders(some[:4]) == (
        "process 1 (app) reads it, process 2 (app) reads it, process 3 (app) reads it and 1 more process uses it"
    )
    assert format_holders(some).endswith("and 2 more processes use it")


@pytest.mark.parametrize(
    ("program", "arguments", "shown"),
    [
        ("/usr/bin/python3", ["-u", "app.py", "--password", "secret"], "python3 app.py"),
        ("sqlite3", [], "sqlite3"),
        ("app\x1b[31m", ["\u202etxt"], "app?[31m ?txt"),
        ("php-fpm: pool www", [], "php-fpm: pool www"),
        ("x" * 99, [], "x" * 39 + "…"),
    ],
)
def test_a_command_is_short_and_harmless(program: str, arguments: list[str], shown: str) -> None:
    assert short_command(program, arguments) == shown
