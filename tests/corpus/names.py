"""Sound databases whose tables, columns, indexes and files have unusual names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from engine.targets.sqlite.connection.names import quote
from tests.corpus.case import NAME, Build, Case, Trouble, cases, script, unsynced
from tests.corpus.storage import ROWS
from tests.sqlite_files import rename_in_schema, schema_surgery, set_schema_sql

NAMES: Final = (
    "",
    " ",
    "two\nlines",
    "carriage\rreturn\ttab",
    'double"quotes""',
    "single'quotes''",
    "back`ticks",
    "[brackets]",
    "half]a[bracket",
    "semi;colon--comment",
    "/* comment",
    "select",
    "order",
    "main",
    "temp.t",
    "sqlite",
    "nocase",
    "binary",
    "RTRIM",
    "123",
    "1e5",
    "%s %(x)s {} {0} $1 ?1 :a",
    "back\\slash \\x00 \\n",
    "größe ÄÖÜ",
    "emoji 😀 👩‍👩‍👧 🇩🇪",
    "עברית \u202eright to left\u202c",
    "zero\u200bwidth\ufeff\u2028\u2029",
    "combining z\u0351\u0353\u0329o",
    "[red]markup[/red] [@click=app.quit]x[/]",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "\x01\x02\x7f\x85\x9b",
    "<b>&amp;</b>",
    "../../etc/passwd",
    "ok",
    "long " * 400,
)

SHOWN: Final = 24


def _named(name: str, *, encoding: str = "UTF-8") -> Build:
    """A table, its columns, an index and a table of full text, all with this name as far as SQLite allows it."""

    def build(directory: Path) -> Path:
        path = directory / NAME
        with unsynced(path) as db:
            db.execute(f"PRAGMA encoding = '{encoding}'")
            table, index = quote(name), quote(name + " index" if name else "")
            db.execute(f"CREATE TABLE {table}({table} UNIQUE, b, {quote(name + '2')})")
            db.execute(f"CREATE INDEX {quote(name + '3')} ON {table}({table}, b DESC)")
            db.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", ((i, i % 7, name) for i in range(50)))
            if name:
                db.execute("CREATE TABLE other(x)")
                db.execute(f"CREATE INDEX {index} ON other(x)")
        return path

    return build


def _index_with_the_name_of_a_collation(directory: Path) -> Path:
    path = script("CREATE TABLE t(a COLLATE nocase, b); CREATE TABLE nocase(a UNIQUE)")(directory)
    with unsynced(path) as db:
        db.execute('CREATE INDEX "binary" ON t(a)')
        db.execute('CREATE INDEX "rtrim" ON nocase(a)')
        db.executemany("INSERT INTO t VALUES (?, ?)", ((f"A{i % 9}", i) for i in range(50)))
    return path


def _renamed(old: str, new: str | bytes, sql: str | bytes) -> Build:
    """A name that SQL does not allow, put into the schema by hand."""

    def build(directory: Path) -> Path:
        path = script(ROWS)(directory)
        with unsynced(path) as db:
            set_schema_sql(db, old, sql)
            rename_in_schema(db, old, new)
        return path

    return build


def _table_that_is_no_text(directory: Path) -> Path:
    path = script(ROWS)(directory)
    path.write_bytes(path.read_bytes().replace(b"item", b"it\xe9m"))
    return path


def _names_that_differ_in_case(directory: Path) -> Path:
    path = script(ROWS + "CREATE INDEX by_note ON item(note);")(directory)
    with unsynced(path) as db:
        set_schema_sql(db, "by_note", "CREATE INDEX BY_CODE ON item(note)")
        rename_in_schema(db, "by_note", "BY_CODE")
    return path


def _index_named_like_its_table(directory: Path) -> Path:
    path = script(ROWS)(directory)
    with unsynced(path) as db:
        set_schema_sql(db, "by_code", "CREATE INDEX item ON item(code)")
        rename_in_schema(db, "by_code", "item")
    return path


def _without_the_index_of_a_constraint(directory: Path) -> Path:
    """Its row in the schema has another name than the constraint gives it."""
    path = script("CREATE TABLE t(a UNIQUE, b); INSERT INTO t VALUES (1, 2);")(directory)
    with unsynced(path) as db, schema_surgery(db):
        db.execute("UPDATE sqlite_schema SET name = 'sqlite_autoindex_t_7' WHERE type = 'index'")
    return path


NO_SQL_NAME: Final = (
    ("an index of the system", _renamed("by_code", "sqlite_code", "CREATE INDEX sqlite_code ON item(code)")),
    ("an index that is no UTF-8", _renamed("by_code", b"by\xffcode", b'CREATE INDEX "by\xffcode" ON item(code)')),
    ("a table that is no UTF-8", _table_that_is_no_text),
    ("an index with a NUL", _renamed("by_code", "by\0code", 'CREATE INDEX "by\0code" ON item(code)')),
    ("a surrogate", _renamed("by_code", b"by\xed\xa0\x80", b'CREATE INDEX "by\xed\xa0\x80" ON item(code)')),
    ("indexes whose names differ in case", _names_that_differ_in_case),
    ("an index named like its table", _index_named_like_its_table),
    ("the index of a constraint with a wrong number", _without_the_index_of_a_constraint),
)

FILE_NAMES: Final = (
    "with spaces .db",
    " leading and trailing ",
    "100%41%.db",
    "what?mode=ro.db",
    "a#fragment.db",
    "two\nlines.db",
    "\x1b[31mred\x1b[0m.db",
    "größe 😀 \u202e.db",
    "-rf",
    "file:a.db",
    ":memory:",
    "~",
    "*",
    "a;b|c&d$(e)`f`.db",
    "\"quotes'.db",
    "back\\slash.db",
    "no extension",
    ".hidden",
    "a.db-journal",
    "a.db-wal",
    "n" * 200,
    os.fsdecode(b"no\xff\xfeutf8.db"),
)


def _in_directory(name: str) -> Build:
    def build(directory: Path) -> Path:
        (directory / name).mkdir()
        return script(ROWS)(directory / name)

    return build


CASES: Final[tuple[Case, ...]] = (
    *cases(Trouble.NONE, ((f"named {name[:SHOWN]!r}", _named(name)) for name in NAMES)),
    *cases(
        Trouble.NONE,
        (
            ("named in UTF-16", _named("größe 😀 \u202e \x1b[31m", encoding="UTF-16le")),
            ("indexes with the names of collations", _index_with_the_name_of_a_collation),
        ),
    ),
    *cases(Trouble.DAMAGED, NO_SQL_NAME),
    *cases(Trouble.NONE, ((f"file {name[:SHOWN]!r}", script(ROWS, name=name)) for name in FILE_NAMES)),
    *cases(Trouble.NONE, ((f"directory {name!r}", _in_directory(name)) for name in ("a b?c#d%41", "two\nlines", "'"))),
)
