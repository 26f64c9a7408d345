"""Files that are no databases, and databases that are reached, named or guarded in a way that matters."""

from __future__ import annotations

import gzip
import os
import random
import socket
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from tests.corpus.case import NAME, Build, Case, Trouble, cases, script
from tests.corpus.storage import ROWS

SOUND: Final = script(ROWS)
IN_WAL_MODE: Final = script(f"PRAGMA journal_mode = wal; {ROWS}")


def _bytes(content: bytes) -> Build:
    def build(directory: Path) -> Path:
        path = directory / NAME
        path.write_bytes(content)
        return path

    return build


def _made(make: Callable[[Path], object]) -> Build:
    def build(directory: Path) -> Path:
        path = directory / NAME
        make(path)
        return path

    return build


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(NAME, b"x" * 5000)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _dangling_link(path: Path) -> None:
    path.symlink_to("nowhere.db")


def _circle(path: Path) -> None:
    path.symlink_to("b.db")
    path.with_name("b.db").symlink_to(NAME)


def _link_to_a_directory(path: Path) -> None:
    path.with_name("d").mkdir()
    path.symlink_to("d")


NO_DATABASES: Final = cases(
    Trouble.NO_DATABASE,
    (
        ("missing", lambda directory: directory / NAME),
        ("missing directory", lambda directory: directory / "nowhere" / NAME),
        ("a path through a file", lambda directory: SOUND(directory) / "b.db"),
        ("a name that is too long", lambda directory: directory / ("n" * 300)),
        ("empty", _bytes(b"")),
        ("directory", _made(Path.mkdir)),
        ("FIFO", _made(os.mkfifo)),
        ("socket", _made(_socket)),
        ("device", _made(lambda path: path.symlink_to("/dev/null"))),
        ("endless device", _made(lambda path: path.symlink_to("/dev/zero"))),
        ("dangling link", _made(_dangling_link)),
        ("links in a circle", _made(_circle)),
        ("link to a directory", _made(_link_to_a_directory)),
        ("text", _bytes(b"not a database\n" * 500)),
        ("a short text", _bytes(b"hello")),
        ("the beginning of the magic", _bytes(b"SQLite format 3")),
        ("SQL", _bytes(b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nCOMMIT;\n")),
        ("JSON", _bytes(b'{"SQLite format 3": [1, 2, 3]}')),
        ("SQLite 2", _bytes(b"** This file contains an SQLite 2.1 database **\0" + bytes(2000))),
        ("encrypted", _bytes(random.Random(5).randbytes(8192))),
        ("encrypted, but for the magic", _bytes(b"SQLite format 3\0" + random.Random(6).randbytes(8176))),
        ("zeros", _bytes(bytes(8192))),
        ("gzip", _bytes(gzip.compress(b"x" * 5000, mtime=0))),
        ("zip", _made(_zip)),
        ("an executable", _bytes(b"\x7fELF" + bytes(5000))),
        ("a byte order mark before the magic", _bytes(b"\xef\xbb\xbfSQLite format 3\0" + bytes(5000))),
        ("a magic in UTF-16", _bytes("SQLite format 3\0".encode("utf-16") + bytes(5000))),
        ("carriage returns added", lambda directory: _with_line_ends(SOUND(directory))),
    ),
)


def _with_line_ends(path: Path) -> Path:
    """As a transfer in text mode leaves it."""
    path.write_bytes(b"SQLite format 3\0\r\n" + path.read_bytes()[16:].replace(b"\n", b"\r\n"))
    return path


def _link(directory: Path) -> Path:
    (directory / "d").mkdir()
    SOUND(directory / "d")
    (directory / "link.db").symlink_to(Path("d") / NAME)
    return directory / "link.db"


def _link_to_a_link(directory: Path) -> Path:
    (directory / "again.db").symlink_to(_link(directory).name)
    return directory / "again.db"


def _through_a_link_to_its_directory(directory: Path) -> Path:
    (directory / "d").mkdir()
    IN_WAL_MODE(directory / "d")
    (directory / "e").symlink_to("d")
    return directory / "e" / NAME


def _with_dots(directory: Path) -> Path:
    (directory / "d").mkdir()
    SOUND(directory)
    return directory / "d" / ".." / "." / NAME


def _hard_link(directory: Path) -> Path:
    path = SOUND(directory)
    (directory / "same.db").hardlink_to(path)
    return path


def _link_to_a_hard_link(directory: Path) -> Path:
    (directory / "link.db").symlink_to(_hard_link(directory).name)
    return directory / "link.db"


def mode(bits: int, of: Callable[[Path], Path] = lambda path: path) -> Callable[[Path], AbstractContextManager[object]]:
    """Let a file, or what `of` makes of it, have this mode meanwhile: one that nobody could copy or remove."""

    @contextmanager
    def having(path: Path) -> Iterator[None]:
        changed = of(path)
        before = changed.stat().st_mode
        changed.chmod(bits)
        try:
            yield
        finally:
            changed.chmod(before)

    return having


def _directory(path: Path) -> Path:
    return path.parent


FORBIDDEN: Final = (
    Case("hard link", Trouble.FORBIDDEN, _hard_link),
    Case("link to a file with hard links", Trouble.FORBIDDEN, _link_to_a_hard_link),
    Case("read-only", Trouble.FORBIDDEN, SOUND, mode(0o444)),
    Case("read-only, in wal mode", Trouble.FORBIDDEN, IN_WAL_MODE, mode(0o444)),
    Case("no permissions at all", Trouble.FORBIDDEN, SOUND, mode(0)),
    Case("write only", Trouble.FORBIDDEN, SOUND, mode(0o222)),
    Case("read-only directory", Trouble.FORBIDDEN, SOUND, mode(0o555, _directory)),
    Case("read-only directory, in wal mode", Trouble.FORBIDDEN, IN_WAL_MODE, mode(0o555, _directory)),
)

CASES: Final[tuple[Case, ...]] = (
    *NO_DATABASES,
    *FORBIDDEN,
    *cases(
        Trouble.NONE,
        (
            ("link", _link),
            ("link to a link", _link_to_a_link),
            ("through a link to its directory", _through_a_link_to_its_directory),
            ("path with dots", _with_dots),
        ),
    ),
)
