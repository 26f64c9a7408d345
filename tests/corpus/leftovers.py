"""Databases with leftovers beside them: of a crash, of another database, or of a backup tool."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from tests.corpus.case import NAME, Build, Case, Spoil, Trouble, cases, script, spoilt, unsynced
from tests.corpus.pages import patched, patched_bytes
from tests.corpus.storage import ROWS

SOUND: Final = script(ROWS)
IN_WAL_MODE: Final = script(f"PRAGMA journal_mode = wal; {ROWS}")
OTHER: Final = script("CREATE TABLE other(a); INSERT INTO other VALUES (zeroblob(50000));", name="other.db")
MAGIC: Final = bytes.fromhex("d9d505f920a163d7")


def beside(path: Path, suffix: str) -> Path:
    return Path(f"{path}{suffix}")


def _copied_meanwhile(build: Build, work: Callable[[Connection], object], *suffixes: str) -> Build:
    """The file and those beside it as a crash leaves them after this work."""

    def copied(directory: Path) -> Path:
        (directory / "crash").mkdir()
        living = build(directory / "crash")
        with unsynced(living) as db:
            work(db)
            for suffix in ("", *suffixes):
                # Copying drops the locks of this process; nobody else is there who could notice.
                shutil.copyfile(beside(living, suffix), beside(directory / living.name, suffix))
        shutil.rmtree(directory / "crash")
        return directory / living.name

    return copied


def _change_much(db: Connection) -> None:
    """So much that pages have to be written before the commit."""
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN")
    db.execute("UPDATE item SET note = hex(zeroblob(500)), code = 'lost'")


def _change_much_safely(db: Connection) -> None:
    """As most do: then the journal tells how much of it is on the disk."""
    db.execute("PRAGMA synchronous = FULL")
    _change_much(db)


def _commit_some(db: Connection) -> None:
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("UPDATE item SET note = 'in the log' WHERE id % 2")
    db.execute("CREATE INDEX late ON item(note)")


def _commit_some_and_change_much(db: Connection) -> None:
    _commit_some(db)
    _change_much(db)


CRASHED: Final = _copied_meanwhile(SOUND, _change_much, "-journal")
CRASHED_IN_WAL_MODE: Final = _copied_meanwhile(IN_WAL_MODE, _commit_some_and_change_much, "-wal")
WITH_LOG: Final = _copied_meanwhile(IN_WAL_MODE, _commit_some, "-wal")
WITH_LOG_AND_INDEX: Final = _copied_meanwhile(IN_WAL_MODE, _commit_some, "-wal", "-shm")


def _left(suffix: str, content: bytes) -> Spoil:
    return lambda path: beside(path, suffix).write_bytes(content)


def _in(suffix: str, spoil: Spoil) -> Spoil:
    return lambda path: spoil(beside(path, suffix))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def _journal_of(build: Build, suffix: str) -> Spoil:
    """What a crash of another database left, under the name of this one."""

    def leave(path: Path) -> None:
        directory = path.parent / "elsewhere"
        directory.mkdir()
        other = build(directory)
        beside(other, suffix).rename(beside(path, suffix))
        shutil.rmtree(directory)

    return leave


def _with_super_journal(path: Path) -> None:
    """Let the journal be part of a transaction on several files, which is committed: its super-journal is gone."""
    name = b"a.db-mj0123ABCD"
    page_of_locks = 0x40000000 // 4096 + 1
    with beside(path, "-journal").open("ab") as file:
        file.write(struct.pack(">I", page_of_locks) + name + struct.pack(">II", len(name), sum(name)) + MAGIC)


def _attached(directory: Path) -> Path:
    """Two databases of which one was attached to the other as the process died in the middle."""
    crash = directory / "crash"
    crash.mkdir()
    main, other = SOUND(crash), OTHER(crash)
    with unsynced(main) as db:
        db.execute("ATTACH ? AS b", (str(other),))
        _change_much(db)
        db.execute("UPDATE b.other SET a = hex(zeroblob(60000))")
        for path in (main, other, beside(main, "-journal"), beside(other, "-journal")):
            shutil.copyfile(path, directory / path.name)
    shutil.rmtree(crash)
    return directory / NAME


def _changed_back_with_log(path: Path) -> None:
    """A log of a time when the database was in WAL mode, beside the one that is not."""
    _journal_of(WITH_LOG, "-wal")(path)


BESIDE_DATABASES: Final = cases(
    Trouble.LEFTOVERS,
    (
        ("hot journal", _copied_meanwhile(SOUND, _change_much_safely, "-journal")),
        ("hot journal that was not synced", CRASHED),
        (
            "hot journal in UTF-16",
            _copied_meanwhile(script(f"PRAGMA encoding = 'UTF-16be'; {ROWS}"), _change_much, "-journal"),
        ),
        (
            "hot journal of small pages",
            _copied_meanwhile(script(f"PRAGMA page_size = 512; {ROWS}"), _change_much, "-journal"),
        ),
        (
            "hot journal of a database with a hostile name",
            _copied_meanwhile(script(ROWS, name="a ?#%41\n.db"), _change_much, "-journal"),
        ),
        ("hot journal cut short", spoilt(CRASHED, _in("-journal", _cut))),
        ("hot journal with a wrong checksum", spoilt(CRASHED, _in("-journal", patched_bytes(600, b"\xff" * 20)))),
        ("hot journal with a header of zeros", spoilt(CRASHED, _in("-journal", patched_bytes(0, bytes(28))))),
        ("hot journal of another page size", spoilt(CRASHED, _in("-journal", patched(24, ">I", 1024)))),
        ("hot journal without its super-journal", spoilt(CRASHED, _with_super_journal)),
        ("hot journal of two databases", _attached),
        (
            "journal of another database",
            spoilt(
                SOUND,
                _journal_of(
                    _copied_meanwhile(
                        script(ROWS + ROWS.replace("item", "b").replace("by_code", "c")), _change_much, "-journal"
                    ),
                    "-journal",
                ),
            ),
        ),
        ("journal of rubbish", spoilt(SOUND, _left("-journal", b"rubbish " * 1000))),
        ("journal of one byte", spoilt(SOUND, _left("-journal", b"\xd9"))),
        ("journal of zeros", spoilt(SOUND, _left("-journal", bytes(4096)))),
        ("empty journal", spoilt(SOUND, _left("-journal", b""))),
        ("journal that is only a header", spoilt(SOUND, _left("-journal", MAGIC + bytes(504)))),
        ("journal in wal mode", spoilt(IN_WAL_MODE, _left("-journal", b"rubbish " * 1000))),
        ("log with commits", WITH_LOG),
        ("log and its index", WITH_LOG_AND_INDEX),
        ("log and a stale index", spoilt(WITH_LOG_AND_INDEX, _in("-shm", patched_bytes(0, bytes(136))))),
        ("log and an index of rubbish", spoilt(WITH_LOG, _left("-shm", b"rubbish " * 4096))),
        ("log with an unfinished transaction", CRASHED_IN_WAL_MODE),
        ("log cut short", spoilt(WITH_LOG, _in("-wal", _cut))),
        (
            "log with a wrong checksum in the middle",
            spoilt(WITH_LOG, _in("-wal", patched_bytes(32 + 4120 * 3 + 40, b"\xff" * 9))),
        ),
        ("log with a wrong checksum in its header", spoilt(WITH_LOG, _in("-wal", patched(24, ">I", 1)))),
        ("log of a later version", spoilt(WITH_LOG, _in("-wal", patched(4, ">I", 3_007_001)))),
        ("log of rubbish", spoilt(IN_WAL_MODE, _left("-wal", b"rubbish " * 1000))),
        ("empty log", spoilt(IN_WAL_MODE, _left("-wal", b""))),
        ("empty log and index", spoilt(IN_WAL_MODE, _left("-wal", b""), _left("-shm", b""))),
        ("index without a log", spoilt(IN_WAL_MODE, _left("-shm", b"\x18\xe2\x2d\x00" * 8192))),
        (
            "log of another database",
            spoilt(
                IN_WAL_MODE,
                _journal_of(
                    _copied_meanwhile(
                        script("PRAGMA journal_mode = wal; CREATE TABLE b(a); CREATE TABLE item(x)"),
                        lambda db: db.execute("INSERT INTO b VALUES (hex(zeroblob(20000)))"),
                        "-wal",
                    ),
                    "-wal",
                ),
            ),
        ),
        ("log of a database that is not in wal mode", spoilt(SOUND, _changed_back_with_log)),
        (
            "files of other tools",
            spoilt(SOUND, *(_left(s, b"x") for s in ("-journal.bak", ".bak", "-wal2", "~", ".lock", ".backup"))),
        ),
        ("temporary files", spoilt(SOUND, lambda path: (path.parent / "etilqs_0123456789abcdef").write_bytes(b"x"))),
        ("a directory in place of the journal", spoilt(SOUND, lambda path: beside(path, "-journal").mkdir())),
        ("a directory in place of the log", spoilt(IN_WAL_MODE, lambda path: beside(path, "-wal").mkdir())),
        (
            "a directory in place of the index of the log",
            spoilt(IN_WAL_MODE, lambda path: beside(path, "-shm").mkdir()),
        ),
        (
            "a dangling link in place of the journal",
            spoilt(SOUND, lambda path: beside(path, "-journal").symlink_to("nowhere")),
        ),
    ),
)

BESIDE_NOTHING: Final = cases(
    Trouble.NO_DATABASE,
    (
        ("journal of an empty file", spoilt(CRASHED, lambda path: path.write_bytes(b""))),
        ("log of an empty file", spoilt(WITH_LOG, lambda path: path.write_bytes(b""))),
        ("journal of a database that is gone", spoilt(CRASHED, Path.unlink)),
        ("log of a database that is gone", spoilt(WITH_LOG, Path.unlink)),
    ),
)

CASES: Final[tuple[Case, ...]] = (*BESIDE_DATABASES, *BESIDE_NOTHING)
