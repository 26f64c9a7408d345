"""VACUUM renumbers the rowids of some tables: the warning, and the indexes that are rebuilt."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.targets.plans import Verdict
from engine.targets.sqlite.planning.preflight import rowids_changed
from engine.targets.sqlite.reading.renumbering import Renumbering
from engine.targets.sqlite.reading.rowid_users import schema_text, users_in_sql, views_below
from engine.targets.sqlite.reading.virtual import content_table, is_contentless
from tests.engine.targets.sqlite.a_session import plan, run, statuses
from tests.sqlite_files import integrity, make_notes, set_schema_sql


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """See `make_notes`."""
    return make_notes(tmp_path / "a.db")


def search(path: Path, words: str) -> list[str | None]:
    with closing(sqlite3.connect(path)) as db:
        return [body for (body,) in db.execute("SELECT body FROM found WHERE found MATCH ? ORDER BY rank", (words,))]


def execute(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)


def _with_tokenizer(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        declaration = f'CREATE VIRTUAL TABLE found USING fts5(body, content="notes", tokenize="{name}")'
        set_schema_sql(db, "found", declaration)


async def test_trap_a_full_text_index_that_vacuum_breaks_unnoticed_is_rebuilt_after_it(path: Path) -> None:
    assert search(path, "apples") == ["apples only"]
    by_hand = path.with_name("by_hand.db")
    by_hand.write_bytes(path.read_bytes())
    execute(by_hand, "VACUUM")
    assert integrity(by_hand) == []
    assert search(by_hand, "apples") != ["apples only"]

    planned = await plan(path, Operation.VACUUM, force=True)
    assert planned.verdict is Verdict.OK  # what a step does is nothing left to do
    assert [step.object for step in planned.steps] == ["main", "found"]
    told = "rebuilt after VACUUM, which changes the rowids that this full-text index uses"
    assert planned.steps[1].reason == told
    assert statuses(await run(path, Operation.VACUUM, force=True)) == {Status.COMPLETED}
    assert search(path, "apples") == ["apples only"]
    assert search(path, "pears") == ["pears only"]


async def test_an_index_over_a_view_that_uses_such_rowids_is_rebuilt_too(path: Path) -> None:
    execute(
        path,
        """
        DROP TABLE found;
        CREATE VIEW texts AS SELECT rowid AS id, body FROM notes;
        CREATE VIRTUAL TABLE found USING fts5(body, content = texts, content_rowid = id);
        INSERT INTO found(found) VALUES ('rebuild');
        """,
    )
    planned = await plan(path, Operation.VACUUM, force=True)
    assert "view texts uses" in planned.warnings[0]
    assert statuses(await run(path, Operation.VACUUM, force=True)) == {Status.COMPLETED}
    assert search(path, "apples") == ["apples only"]


VIEW = """
DROP TABLE found;
CREATE VIEW texts AS SELECT rowid AS id, body FROM notes;
CREATE VIRTUAL TABLE found USING fts5(body, content=texts, content_rowid=id);
INSERT INTO found(rowid, body) VALUES (2, 'apples only');
DROP VIEW texts;
CREATE VIEW texts AS SELECT rowid AS id, {} FROM notes;
"""


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            partial(_with_tokenizer, name="only_the_application_has_it"),
            "no such tokenizer: only_the_application_has_it",
        ),
        (
            partial(execute, script=VIEW.format("only_the_application_has_it(body) AS body")),
            "no such function: only_the_application_has_it",
        ),
        (partial(execute, script=VIEW.format("body AS text")), "no such column: T.body"),
        (
            partial(execute, script=VIEW.replace("content_rowid=id", "content_rowid=key").format("body")),
            "no such column: T.key",
        ),
    ],
)
async def test_vacuum_is_refused_where_the_index_that_it_breaks_cannot_be_rebuilt(
    path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    spoil(path)
    before = path.read_bytes()
    planned = await plan(path, Operation.VACUUM, force=True)
    assert (planned.verdict, planned.steps) == (Verdict.REFUSE, ())
    assert " index found uses, " in str(planned.refused)
    assert f": {why}. " in str(planned.refused)
    assert path.read_bytes() == before


async def test_an_index_that_cannot_be_used_here_and_is_not_broken_by_it_is_no_reason_against_vacuum(
    path: Path,
) -> None:
    execute(path, "CREATE INDEX i ON notes(body)")
    _with_tokenizer(path, "only_the_application_has_it")
    assert (await plan(path, Operation.VACUUM)).verdict is Verdict.OK


@pytest.mark.parametrize("content", ["notes", "texts", "others"])
async def test_an_older_kind_of_full_text_index_is_judged_alike(path: Path, content: str) -> None:
    execute(
        path,
        f"""
        CREATE VIEW texts AS SELECT rowid AS id, body FROM notes;
        CREATE VIEW others AS SELECT rowid AS id, body AS other FROM notes;
        CREATE VIRTUAL TABLE old USING fts4(body, content="{content}");
        INSERT INTO old(docid, body) VALUES (2, 'apples only');
        """,
    )
    by_hand = path.with_name("by_hand.db")
    by_hand.write_bytes(path.read_bytes())
    try:
        execute(by_hand, "INSERT INTO old(old) VALUES ('rebuild')")
    except sqlite3.Error:
        possible = False
    else:
        possible = True
    assert possible is (content != "others")
    assert ((await plan(path, Operation.VACUUM, force=True)).refused is None) is possible


@pytest.mark.parametrize(
    "change",
    [
        "CREATE INDEX i ON notes(body)",
        "ALTER TABLE notes RENAME TO old; CREATE TABLE notes(id INTEGER PRIMARY KEY, body); DROP TABLE found;"
        "INSERT INTO notes SELECT rowid, body FROM old; DROP TABLE old;"
        "CREATE VIRTUAL TABLE found USING fts5(body, content=notes, content_rowid=id);"
        "INSERT INTO found(found) VALUES ('rebuild')",
    ],
)
async def test_a_table_that_keeps_its_numbers_is_no_reason_for_a_warning(path: Path, change: str) -> None:
    """One with an index keeps them in fact; were it not so, the search would show it here."""
    execute(path, change)
    planned = await plan(path, Operation.VACUUM)
    assert (planned.verdict, [step.command for step in planned.steps]) == (Verdict.OK, ["VACUUM"])
    await run(path, Operation.VACUUM)
    assert search(path, "apples") == ["apples only"]


@pytest.mark.parametrize(
    ("declaration", "warned"),
    [
        ("t(a)", True),
        ("t(a, b INT PRIMARY KEY)", False),  # it has an index, which keeps the numbers
        ("t(id INTEGER PRIMARY KEY)", False),
        ("t(id integer primary key autoincrement)", False),
        ("t(id INTEGER PRIMARY KEY DESC)", False),
        ("t(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID", False),
        ("t(a UNIQUE)", False),
    ],
)
async def test_who_is_warned_is_who_is_renumbered(tmp_path: Path, declaration: str, warned: bool) -> None:
    path = tmp_path / "a.db"
    execute(path, f"CREATE TABLE {declaration}")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        columns = len(db.execute("PRAGMA table_info(t)").fetchall())
        rows = ", ".join(f"({', '.join([str(n)] * columns)})" for n in (1, 2, 3))
        db.execute(f"INSERT INTO t VALUES {rows}")
        first = db.execute("SELECT * FROM t LIMIT 1").fetchone()[0]
        db.execute("DELETE FROM t WHERE " + ("rowid = 1" if "WITHOUT" not in declaration else f"a = {first}"))
        before = None if "WITHOUT" in declaration else db.execute("SELECT rowid FROM t").fetchall()
    assert bool((await plan(path, Operation.VACUUM)).warnings) is warned
    await run(path, Operation.VACUUM)
    if before is not None:
        with closing(sqlite3.connect(path)) as db:
            assert (db.execute("SELECT rowid FROM t").fetchall() != before) is warned


def with_index_of_old_format(path: Path, index: str) -> None:
    """Make an index as in a database of schema format 1, where DESC was ignored."""
    with path.open("r+b") as file:
        file.seek(44)
        file.write((1).to_bytes(4))
    execute(path, index)


def rowids(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [rowid for (rowid,) in db.execute("SELECT rowid FROM notes ORDER BY rowid")]


@pytest.mark.parametrize(
    ("index", "renumbered"),
    [
        ("CREATE INDEX i ON notes(body COLLATE NOCASE\tDESC\n)", True),
        ("CREATE INDEX i ON notes(body, body DESC) WHERE body > ''", True),
        ("CREATE INDEX i ON notes(\r\n\tbody DESC\r\n\t)", True),
        ('CREATE INDEX i ON notes("body"DESC , desc)', True),
        ("CREATE INDEX i ON notes(body/* a */DESC -- b\n)", True),
        ("CREATE INDEX i ON notes(abs(desc)DESC)", True),
        ("CREATE INDEX i ON notes(body -- , desc)\n DESC)", True),
        ("CREATE INDEX i ON notes(body) -- (a desc)\n", False),
        ("CREATE INDEX i ON notes(body, desc)", False),
        ("CREATE INDEX i ON notes(body) WHERE body <> 'a desc)'", False),
        ('CREATE INDEX i ON notes(body , "desc" )', False),
        ("CREATE INDEX i ON notes(body,\n  [desc]\n)", False),
        ("CREATE INDEX i ON notes(body) WHERE desc > 1", False),
    ],
)
async def test_an_index_that_ignored_desc_lets_vacuum_renumber_its_table_also_in_a_copy(
    tmp_path: Path, index: str, renumbered: bool
) -> None:
    path, copy = tmp_path / "old.db", tmp_path / "copy.db"
    execute(path, "CREATE TABLE notes(body, desc); INSERT INTO notes VALUES ('a', 1), ('b', 2), ('c', 3)")
    execute(path, "DELETE FROM notes WHERE body = 'a'")
    with_index_of_old_format(path, index)
    warnings = [(await plan(path, operation)).warnings for operation in (Operation.VACUUM, Operation.BACKUP)]
    execute(path, f"VACUUM INTO '{copy}'")
    assert (rowids(copy) != rowids(path)) is renumbered
    assert [bool(warning) for warning in warnings] == [renumbered, renumbered]


async def test_a_copy_in_which_a_full_text_index_would_be_wrong_is_made_page_by_page(path: Path) -> None:
    with_index_of_old_format(path, "CREATE INDEX i ON notes(body DESC)")
    renumbers = "VACUUM renumbers the rowids of notes, which full-text index found uses"
    assert str((await plan(path, Operation.VACUUM)).refused).startswith(renumbers)
    planned = await plan(path, Operation.BACKUP)
    assert planned.warnings == ()
    assert renumbers in planned.steps[0].reason
    before = rowids(path)
    assert statuses(await run(path, Operation.BACKUP)) == {Status.COMPLETED}
    (copy,) = path.parent.glob("*.backup-*")
    assert search(copy, "apples") == ["apples only"]
    assert rowids(copy) == before


def test_warnings_name_the_first_few_of_many() -> None:
    (warning,) = rowids_changed(Renumbering(tables=tuple(f"t{n}" for n in range(7))))
    assert ", t4 and 2 more, " in warning
    assert rowids_changed(Renumbering()) == ()


@pytest.mark.parametrize("name", ["t", "my table", 'a"b', "a-", "12", "ünï", "it's", "a]b", "TABLE"])
def test_a_view_is_found_whatever_the_name_of_its_table(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        quoted = name.replace('"', '""')
        db.execute(f'CREATE TABLE "{quoted}"(a)')
        db.execute(f'CREATE VIEW v AS SELECT oid FROM "{quoted}" -- other')
        texts = [
            schema_text(*row) for row in db.execute("SELECT name, type, sql FROM sqlite_schema WHERE type = 'view'")
        ]
    assert [(text.name, table) for text, table in users_in_sql(texts, {name: {"a"}, "other": {"a"}})] == [("v", name)]
    assert users_in_sql(texts, {name: {"oid"}}) == []


def test_a_view_stands_on_what_its_views_stand_on() -> None:
    sql = [("v", "CREATE VIEW v AS SELECT 1 FROM u"), ("w", "CREATE VIEW w AS SELECT 1 FROM V"), ("x", "x")]
    texts = [schema_text(name, "view", text) for name, text in sql]
    assert views_below(texts, "W") == {"w", "v"}
    assert views_below(texts, "u") == {"u"}


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        yield db


_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=_text, mark=st.sampled_from("'`\""))
@example(name="a,b)", mark="'")
@example(name="it's", mark="'")
@example(name='"', mark='"')
@example(name="content=x", mark="`")
def test_the_content_table_of_a_full_text_index_is_read_whatever_its_name(
    db: sqlite3.Connection, name: str, mark: str
) -> None:
    assume("fts" not in name.lower())  # of these there are some that are always there
    option = mark + name.replace(mark, mark * 2) + mark
    db.execute(f"CREATE VIRTUAL TABLE full_text_index USING fts5(content, x, Content = {option}, content_rowid=id)")
    try:
        ((sql,),) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'full_text_index'").fetchall()
        assert content_table(sql) == name
        with pytest.raises(sqlite3.OperationalError, match="no such table") as caught:  # SQLite looks for the very one
            db.execute("SELECT x FROM full_text_index")
        assert name in str(caught.value)
    finally:
        db.execute("DROP TABLE full_text_index")


@pytest.mark.parametrize(
    ("arguments", "table"),
    [
        ("a, content=notes", "notes"),
        ("a, content = notes , tokenize = 'porter'", "notes"),
        ("a, content=[my notes]", "my notes"),
        ("a, content=größe", "größe"),
        ("a, -- the text\n content=notes", "notes"),
        ("a, /* it stays, as it is, (there) */ content=notes /* by rowid */", "notes"),
        ("/* , content=x, */ a, content=notes", "notes"),
        ("a, tokenize=\"unicode61 separators '(content=x'\", content=notes", "notes"),
        ("a, content=''", None),
        ("a, content = '' , contentless_delete=1", None),
        ("content, a", None),
        ("a, content_rowid=id", None),
        ("a, columnsize=0", None),
    ],
)
def test_the_content_table_as_it_is_usually_written(db: sqlite3.Connection, arguments: str, table: str | None) -> None:
    sql = f"CREATE VIRTUAL TABLE f USING fts5({arguments})"
    db.execute(sql)
    db.execute("DROP TABLE f")
    assert content_table(sql) == table
    assert is_contentless(sql) is ("''" in arguments)


def test_a_full_text_index_of_fts4_names_its_content_table_also_without_quotes(db: sqlite3.Connection) -> None:
    db.execute('CREATE TABLE "my notes"(a)')
    db.execute("INSERT INTO \"my notes\" VALUES ('apples')")
    sql = "CREATE VIRTUAL TABLE f USING fts4(a, content=my notes )"
    db.execute(sql)
    db.execute("INSERT INTO f(f) VALUES ('rebuild')")
    assert db.execute("SELECT a FROM f WHERE f MATCH 'apples'").fetchall() == [("apples",)]
    assert content_table(sql) == "my notes"
