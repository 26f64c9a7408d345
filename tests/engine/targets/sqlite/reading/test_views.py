"""Views that are defined by other views."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.requests import Operation
from engine.targets.sqlite.reading.virtual import MOST_VIEWS, views_in
from tests.engine.targets.sqlite.a_session import plan
from tests.sqlite_files import make_notes, schema_surgery


def doubling(number: int) -> dict[str, str]:
    return {f"v{i}": f"CREATE VIEW v{i} AS SELECT a.x FROM v{i - 1} AS a, V{i - 1} b" for i in range(1, number)}


@pytest.mark.parametrize(
    ("name", "views", "number"),
    [
        ("t", {}, 0),
        ("V", {"v": "CREATE VIEW v AS SELECT * FROM t"}, 1),
        ("v3", doubling(4), 7),
        ("v30", doubling(31), MOST_VIEWS),
        ("a", {"a": "CREATE VIEW a AS SELECT * FROM b", "b": "CREATE VIEW b AS SELECT * FROM [a], `a`"}, 2),
        ("v1", {f"v{i}": f'CREATE VIEW v{i} AS SELECT * FROM "v{i + 1}"' for i in range(1, 5000)}, MOST_VIEWS),
    ],
)
def test_how_many_are_compiled(name: str, views: dict[str, str], number: int) -> None:
    assert views_in(name, views) == number


async def test_a_full_text_index_over_views_without_end_is_not_compiled(tmp_path: Path) -> None:
    path = make_notes(tmp_path / "notes.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE VIEW v0 AS SELECT rowid AS id, body AS x FROM notes")
        for number in range(1, 15):
            db.execute(f"CREATE VIEW v{number} AS SELECT a.id, a.x FROM v{number - 1} a, v{number - 1} b")
        db.execute("CREATE VIRTUAL TABLE of_views USING fts5(x, content=v0, content_rowid=id)")
        db.execute("INSERT INTO of_views(of_views) VALUES ('rebuild')")
        with schema_surgery(db):
            db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'v0', 'v14') WHERE name = 'of_views'")
    refused = (await plan(path, Operation.VACUUM, force=True)).refused
    assert "of_views cannot be" in str(refused)
    assert " 1,000" in str(refused)
