"""Sound databases that are laid out in other ways than most: page sizes, encodings, free pages, old formats."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from tests.corpus.case import NAME, Build, Case, Trouble, cases, script, spoilt, unsynced
from tests.corpus.pages import FILE_HEADER, patched

ROWS: Final = """
CREATE TABLE item(id INTEGER PRIMARY KEY, code TEXT, note TEXT);
CREATE INDEX by_code ON item(code);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    INSERT INTO item SELECT i, 'code ' || (i * 7919 % 300), printf('%.*c', i % 90, 'x') || 'größe 😀' FROM n;
"""
FREE_PAGES: Final = "DELETE FROM item WHERE id % 4; "
OLD_HEADER: Final = 96
"""Where the header says which version of SQLite wrote it."""


def _encoded(encoding: str) -> Build:
    return script(f"PRAGMA encoding = '{encoding}'; {ROWS}")


def _with_reserved_bytes(count: int) -> Build:
    """Some extensions, of encryption and of checksums, keep bytes at the end of each page."""

    def build(directory: Path) -> Path:
        path = directory / NAME
        with unsynced(path) as db:
            db.executescript("PRAGMA page_size = 1024; PRAGMA user_version = 1")  # one page with an empty schema
        patched(20, ">B", count)(path)
        patched(FILE_HEADER + 5, ">H", 1024 - count)(path)
        with unsynced(path) as db:
            db.executescript(ROWS)
        return path

    return build


def _many_tables(directory: Path) -> Path:
    path = directory / NAME
    with unsynced(path) as db:
        db.execute("PRAGMA page_size = 512")
        db.execute("BEGIN")
        for number in range(500):
            db.execute(f"CREATE TABLE t{number}(a, b)")
            db.execute(f"INSERT INTO t{number} VALUES (1, 2)")
        db.execute("CREATE INDEX i0 ON t0(a)")
        db.execute("COMMIT")
    return path


def _wide_table(directory: Path) -> Path:
    path = directory / NAME
    columns = ", ".join(f"c{number}" for number in range(1999))
    with unsynced(path) as db:
        db.execute(f"CREATE TABLE wide({columns})")
        db.execute("CREATE INDEX wide_end ON wide(c1998, c1)")
        db.execute("INSERT INTO wide(c1, c1998) VALUES ('one', 'last')")
    return path


def _longer_by(count: int, fill: bytes = b"\0") -> Build:
    def lengthen(path: Path) -> None:
        with path.open("ab") as file:
            file.write(fill * count)

    return spoilt(script(ROWS), lengthen)


def _as_written_by_an_old_version(path: Path) -> None:
    """Before 3.7 the header did not tell how many pages there are: the size of the file does."""
    with path.open("r+b") as file:
        file.seek(28)
        file.write(bytes(4))
        file.seek(92)
        file.write(struct.pack(">II", 0, 3006023))


SMALL_FORMATS: Final = tuple((f"schema format {n}", spoilt(script(ROWS), patched(44, ">I", n))) for n in (1, 2, 3))

CASES: Final[tuple[Case, ...]] = cases(
    Trouble.NONE,
    (
        ("plain", script(ROWS)),
        *((f"page size {size}", script(f"PRAGMA page_size = {size}; {ROWS}")) for size in (512, 1024, 8192, 65536)),
        *((encoding, _encoded(encoding)) for encoding in ("UTF-16le", "UTF-16be")),
        ("UTF-16le in wal mode", script(f"PRAGMA encoding = 'UTF-16le'; PRAGMA journal_mode = wal; {ROWS}")),
        ("free pages", script(f"PRAGMA page_size = 512; {ROWS} {FREE_PAGES}")),
        ("nothing but free pages", script(f"PRAGMA page_size = 512; {ROWS} DROP TABLE item;")),
        ("no auto_vacuum", script(f"PRAGMA auto_vacuum = NONE; {ROWS} {FREE_PAGES}")),
        ("auto_vacuum full", script(f"PRAGMA auto_vacuum = FULL; PRAGMA page_size = 512; {ROWS} {FREE_PAGES}")),
        (
            "auto_vacuum incremental",
            script(f"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA page_size = 512; {ROWS} {FREE_PAGES}"),
        ),
        (
            "auto_vacuum incremental in wal mode",
            script(f"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = wal; {ROWS} {FREE_PAGES}"),
        ),
        (
            "auto_vacuum incremental, all rows deleted",
            script(f"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA page_size = 512; {ROWS} DELETE FROM item;"),
        ),
        ("wal mode", script(f"PRAGMA journal_mode = wal; {ROWS} {FREE_PAGES}")),
        ("secure_delete", script(f"PRAGMA secure_delete = ON; {ROWS} {FREE_PAGES}")),
        ("reserved bytes", _with_reserved_bytes(32)),
        ("as many reserved bytes as there may be", _with_reserved_bytes(255)),
        *SMALL_FORMATS,
        (
            "application_id and user_version",
            script(f"{ROWS} PRAGMA application_id = -559038737; PRAGMA user_version = -2147483648;"),
        ),
        ("a schema version about to wrap", script(f"{ROWS} PRAGMA schema_version = 2147483647;")),
        (
            "a change counter about to wrap",
            spoilt(script(ROWS), patched(24, ">I", 2**32 - 1), patched(92, ">I", 2**32 - 1)),
        ),
        ("a default cache size", script(f"{ROWS} PRAGMA default_cache_size = 10;")),
        ("written by an old version", spoilt(script(ROWS), _as_written_by_an_old_version)),
        ("written by a future version", spoilt(script(ROWS), patched(OLD_HEADER, ">I", 9_000_000))),
        ("header only", script("PRAGMA user_version = 1")),
        ("header only, in wal mode", script("PRAGMA journal_mode = wal; PRAGMA user_version = 1")),
        ("everything dropped", script("CREATE TABLE t(a); CREATE INDEX i ON t(a); DROP TABLE t;")),
        ("tables without rows", script("CREATE TABLE a(x UNIQUE); CREATE TABLE b(y); CREATE INDEX c ON b(y, y DESC);")),
        ("500 tables", _many_tables),
        ("2000 columns", _wide_table),
        (
            "a row of 3 MB",
            script(
                "CREATE TABLE t(a UNIQUE, b); INSERT INTO t VALUES (1, zeroblob(3000000)), (hex(zeroblob(50000)), 2);"
            ),
        ),
        ("zeros behind its end", _longer_by(4096 * 3)),
        ("a part of a page behind its end", _longer_by(100)),
        ("rubbish behind its end", _longer_by(4096 * 2 + 7, b"\xfe")),
    ),
)
