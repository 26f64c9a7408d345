"""Damage done to the files of a PostgreSQL database while its server is down."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.postgres_databases import Database

PAGE: Final = 8192
JUNK: Final = b"\x13" * 300
A_TABLE: Final = (
    "CREATE TABLE {0} (id int PRIMARY KEY, name text, long text)",
    "ALTER TABLE {0} ALTER long SET STORAGE EXTERNAL",
    "INSERT INTO {0} SELECT g, 'n' || g, CASE WHEN g % 100 = 0 THEN repeat('y', 6000) END"
    " FROM generate_series(1, 5000) AS g",
    "VACUUM (FREEZE, ANALYZE) {0}",
    "UPDATE {0} SET name = name || 'x' WHERE id % 7 = 0",
)
TOAST: Final = "(SELECT reltoastrelid::regclass FROM pg_class WHERE oid = '{0}'::regclass)"
TOAST_INDEX: Final = "(SELECT indexrelid::regclass FROM pg_index WHERE indrelid = {0})".replace("{0}", TOAST)

Damage = Callable[[Path], None]


def make_table(database: Database, name: str) -> None:
    """With rows in TOAST, and some dead ones."""
    database(*(statement.replace("{0}", name) for statement in A_TABLE))


def do_damage(database: Database, damage: Mapping[str, Damage]) -> None:
    """To the files of relations, each an expression of SQL that gives a regclass; the server is down meanwhile."""
    database("CHECKPOINT")
    files = {
        database.server.path_of(database.value(f"SELECT pg_relation_filepath({relation})")): harm
        for relation, harm in damage.items()
    }
    database.server.stop()
    for path, harm in files.items():
        harm(path)
    database.server.start()
    database.reconnect()


def overwrite(at: int, junk: bytes = JUNK) -> Damage:
    def harm(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(junk)

    return harm


def in_page(page: int, at: int, junk: bytes = JUNK) -> Damage:
    return overwrite(page * PAGE + at, junk)


def line_pointer(page: int, row: int) -> Damage:
    return in_page(page, 24 + 4 * (row - 1), b"\xff" * 4)


def row_header(page: int, row: int, at: int, junk: bytes, *, clear: int = 0) -> Damage:
    """`clear`: bits of t_infomask that are to be unset, such as that a transaction is known to be committed."""

    def harm(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(page * PAGE + 24 + 4 * (row - 1))
            (pointer,) = struct.unpack("<I", file.read(4))
            begin = page * PAGE + (pointer & 0x7FFF)
            file.seek(begin + at)
            file.write(junk)
            file.seek(begin + 20)
            (mask,) = struct.unpack("<H", file.read(2))
            file.seek(begin + 20)
            file.write(struct.pack("<H", mask & ~clear))

    return harm


def cut_off(pages: int) -> Damage:
    def harm(path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(pages * PAGE)

    return harm


def posting_list_outside_its_page(path: Path) -> None:
    """In the first leaf of a B-tree: amcheck follows it, which ends the server."""
    with path.open("r+b") as file:
        file.seek(PAGE + 24 + 4 * 2)  # the third line pointer
        (pointer,) = struct.unpack("<I", file.read(4))
        begin = PAGE + (pointer & 0x7FFF)
        file.seek(begin + 6)
        (info,) = struct.unpack("<H", file.read(2))
        file.seek(begin)
        file.write(struct.pack("<HHHH", 0x7FFF, 0xFFFF, 0x2000 | 10, info | 0x2000))


def remove(path: Path) -> None:
    path.unlink()
