"""Sound databases with everything a schema may hold: those of `schemas.sql`, and some that need a program."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.corpus.case import NAME, Case, Trouble, cases, script, sections, unsynced

PEOPLE: Final = """
CREATE TEMP VIEW n(i) AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 60) SELECT i FROM c;
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, town TEXT, born INTEGER);
INSERT INTO person SELECT i, 'Name ' || (i % 17), iif(i % 3, 'Town ' || i, NULL), 1900 + i FROM n;
"""


def _fts5_in_many_segments(directory: Path) -> Path:
    path = directory / NAME
    with unsynced(path) as db:
        db.execute("CREATE VIRTUAL TABLE s USING fts5(a)")
        db.execute("INSERT INTO s(s, rank) VALUES('automerge', 0), ('crisismerge', 64)")
        for number in range(30):
            db.execute("INSERT INTO s VALUES (?)", (f"word{number} common",))
    return path


PROGRAMMED: Final = (
    ("a definition of 100 kB", script(f"CREATE TABLE t(a /* {'long ' * 20_000} */, b); CREATE INDEX i ON t(a)")),
    ("60 times the same index", script(PEOPLE + "".join(f"CREATE INDEX i{n} ON person(name);" for n in range(60)))),
    ("fts5 in many segments", _fts5_in_many_segments),
)

CASES: Final[tuple[Case, ...]] = cases(Trouble.NONE, (*sections("schemas.sql", PEOPLE), *PROGRAMMED))
