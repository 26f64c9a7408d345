"""Findings of checks on databases with deliberate damage, and how their rows are read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.requests import CheckLevel, Operation, Options
from engine.domain.statuses import Status
from engine.domain.steps import Facts
from engine.targets import resolve
from engine.targets.sqlite.running.check_findings import Findings, parse_findings, parse_orphans, remedy
from engine.targets.sqlite.running.lost_rows import LAST_TRACE
from engine.targets.step_execution import StepResult
from tests.engine.targets.sqlite.a_session import execute, plan, run, statuses
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import (
    add_index_that_cannot_be_rebuilt,
    content,
    integrity,
    make_database,
    remove_index_entries,
    schema_surgery,
    set_schema_sql,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "a.db", rows=200)


async def checked(path: Path, **options: object) -> tuple[dict[str, StepResult], Facts]:
    """What each step of a check says, and the facts after it."""
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        planned = await session.plan(Operation.CHECK, Options(**options))  # type: ignore[arg-type]
        results = {step.command.removeprefix("PRAGMA main."): await execute(session, step) for step in planned.steps}
        return results, await session.facts(Operation.CHECK)


def _missing(path: Path) -> None:
    remove_index_entries(path, "order")


def _extra(path: Path) -> None:
    """Entries of rows that do not exist: put in as `remove_index_entries` takes them out."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'my-index'")
        with schema_surgery(db):
            db.execute(
                "INSERT INTO sqlite_schema VALUES ('table', 'ghost', 'ghost', ?, "
                "'CREATE TABLE ghost(key, row, PRIMARY KEY(key, row)) WITHOUT ROWID')",
                (root,),
            )
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO ghost VALUES (5, 777777), (6, 888888)")
        with schema_surgery(db):
            db.execute("DELETE FROM sqlite_schema WHERE name = 'ghost'")


def _misordered(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, 'a"b', 'CREATE INDEX "a""b" ON item(price DESC)')


def _of_other_values(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "sqliteX_idx", "CREATE INDEX sqliteX_idx ON item(note)")


@pytest.mark.parametrize(
    ("damage", "index", "seen_by_quick_check"),
    [
        (_missing, "order", True),
        (_misordered, 'a"b', False),
    ],
)
async def test_a_wrong_index_is_named_and_reindex_of_it_puts_it_right(
    path: Path, damage: Callable[[Path], None], index: str, seen_by_quick_check: bool
) -> None:
    before = content(path)
    damage(path)
    results, facts = await checked(path)
    found = results["integrity_check"]
    assert found.status is Status.FAILED
    assert found.findings
    assert all(sentence.endswith(f"index {index}") for sentence in found.findings)
    assert found.effect == {"findings": len(found.findings)}
    assert (facts["damaged_indexes"], facts["damage"], facts["level"]) == ((index,), None, CheckLevel.FULL)
    quick, _ = await checked(path, check=CheckLevel.QUICK)
    assert (quick["quick_check"].status is Status.FAILED) is seen_by_quick_check
    assert quick["foreign_key_check"].status is Status.COMPLETED
    assert len(await run(path, Operation.REINDEX, objects=(index,))) == 1
    assert integrity(path) == []
    assert content(path) == before
    assert statuses((await checked(path))[0]) == {Status.COMPLETED}


def _flipped(path: Path) -> None:
    """Another value in a row, and the true one in its index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO item(code) VALUES ('needle')")
        ((size,),) = db.execute("PRAGMA page_size")
    pages = [path.read_bytes()[at : at + size] for at in range(0, path.stat().st_size, size)]
    leaf_of_table = b"\x0d"
    flipped = [page.replace(b"needle", b"noodle") if page.startswith(leaf_of_table) else page for page in pages]
    path.write_bytes(b"".join(flipped))


@pytest.mark.parametrize("damage", [_of_other_values, _flipped])
async def test_r31_an_index_with_values_that_no_row_has_is_not_rebuilt_for_that(
    path: Path, damage: Callable[[Path], None]
) -> None:
    damage(path)
    results, facts = await checked(path)
    assert "row " in str(results["integrity_check"].findings[0])
    assert facts["damaged_indexes"] == ()
    assert LAST_TRACE in str(facts["damage"])


async def test_a_sound_database_has_no_findings(path: Path) -> None:
    results, facts = await checked(path)
    assert [result.effect for result in results.values()] == [{"findings": 0}] * 2
    assert (facts["findings"], facts["damaged_indexes"], facts["damage"]) == (0, (), None)
    assert facts["complete"] is True


def _null(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE item SET price = NULL WHERE rowid = 150")
        set_schema_sql(db, "item", "CREATE TABLE item(code TEXT UNIQUE, price INTEGER NOT NULL, note TEXT)")


def _against_check(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "group", "CREATE TABLE \"group\"(id INTEGER PRIMARY KEY, name TEXT CHECK(name > 'h'))")


def _against_strict(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "item", "CREATE TABLE item(code TEXT UNIQUE, price INTEGER, note INTEGER) STRICT")


def _duplicates(path: Path) -> None:
    add_index_that_cannot_be_rebuilt(path, "single")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_null, "NULL value in item.price"),
        (_against_check, "CHECK constraint failed in group"),
        (_against_strict, "non-INTEGER value in item.note"),
        (_duplicates, "non-unique entry in index single"),
    ],
)
async def test_rows_that_break_a_rule_are_found_and_are_neither_damage_nor_a_case_for_reindex(
    path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    spoil(path)
    results, facts = await checked(path)
    found = results["integrity_check"]
    assert (found.status, found.reason, set(found.findings)) == (Status.FAILED, None, {sentence})
    assert str(found.error).startswith(sentence)
    assert (facts["damaged_indexes"], facts["damage"], facts["broken_rule"]) == ((), None, sentence)


async def test_of_a_hundred_findings_it_is_said_that_there_may_be_more(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=400)
    _misordered(path)
    results, facts = await checked(path)
    assert "100 or more" in str(results["integrity_check"].error)
    assert facts["complete"] is False


async def test_rows_without_a_parent_are_found(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            CREATE TABLE child(id INTEGER PRIMARY KEY, group_id REFERENCES "group", code REFERENCES item(code));
            CREATE TABLE other(code PRIMARY KEY REFERENCES item(code)) WITHOUT ROWID;
            INSERT INTO child VALUES (1, 1, NULL), (2, 777, NULL), (3, 888, 'no such code');
            INSERT INTO other VALUES ('x'), ('y');
        """)
    results, facts = await checked(path)
    assert results["integrity_check"].status is Status.COMPLETED
    assert set(results["foreign_key_check"].findings) == {
        "2 rows of child refer to missing rows of group (the first: rowid 2)",
        "a row of child refers to a missing row of item (rowid 3)",
        "2 rows of other refer to missing rows of item",
    }
    assert (facts["findings"], facts["damage"], facts["complete"]) == (3, None, True)
    assert facts["broken_rule"] == results["foreign_key_check"].findings[0]
    assert facts["orphans"] == 5
    assert facts["remedy"] == (
        "PRAGMA foreign_key_check in sqlite3 lists the rows: delete them, or insert the missing parent rows. "
        "Then check again."
    )


async def test_a_foreign_key_that_does_not_fit_is_found_and_keeps_no_other_from_being_looked_at(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            CREATE TABLE misfit(price REFERENCES item(price));
            CREATE TABLE "it's a child"(id INTEGER PRIMARY KEY, group_id REFERENCES "group");
            INSERT INTO "it's a child" VALUES (1, 777);
        """)
    results, facts = await checked(path)
    assert set(results["foreign_key_check"].findings) == {
        'a foreign key of misfit can never hold: foreign key mismatch - "misfit" referencing "item"',
        "a row of it's a child refers to a missing row of group (rowid 1)",
    }
    assert (facts["findings"], facts["damage"], facts["complete"]) == (2, None, True)
    assert facts["broken_rule"] in results["foreign_key_check"].findings


async def test_damage_that_only_a_look_at_foreign_keys_meets_is_a_finding(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute('CREATE TABLE child(id INTEGER PRIMARY KEY, group_id REFERENCES "group")')
        db.execute("INSERT INTO child VALUES (1, 777)")
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'group'")
        ((size,),) = db.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    results, facts = await checked(path)
    (finding,) = results["foreign_key_check"].findings
    assert finding.endswith("image is malformed")
    assert (facts["damage"] is not None, facts["complete"]) == (True, False)


async def test_a_check_of_which_a_part_did_not_get_through_does_not_count_as_complete(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            CREATE TABLE child(id INTEGER PRIMARY KEY, group_id REFERENCES "group");
            INSERT INTO child VALUES (1, 777);
            CREATE TABLE far(word TEXT);
            CREATE INDEX words ON far(word);
        """)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
        planned = await session.plan(Operation.CHECK, Options(jobs=2))
        with closing(sqlite3.connect(path, isolation_level=None)) as db:  # another version of its application
            set_schema_sql(db, "far", "CREATE TABLE far(word TEXT COLLATE only_the_application_has_it)")
        results = {step.command.removeprefix("PRAGMA main."): await execute(session, step) for step in planned.steps}
        facts = await session.facts(Operation.CHECK)
    assert (results["integrity_check('far')"].status, results["integrity_check('far')"].findings) == (Status.FAILED, ())
    assert results["foreign_key_check"].findings
    assert (facts["findings"], facts["complete"]) == (1, False)


async def test_a_check_that_was_stopped_by_damage_does_not_count_as_complete(path: Path) -> None:
    overwrite_page(path, "item")
    assert (await checked(path))[1]["complete"] is False


def overwrite_page(path: Path, table: str) -> None:
    """The first page of a table is gone."""
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)


async def test_trap_damage_that_sqlite_raises_is_a_finding_and_no_crash(path: Path) -> None:
    overwrite_page(path, "item")
    for level in CheckLevel:
        results, facts = await checked(path, check=level)
        first = next(iter(results.values()))
        assert first.status is Status.FAILED
        assert any("cannot be read" in finding for finding in first.findings)
        assert str(facts["damage"]).startswith("table item: ")


def overwrite_leaf(path: Path, table: str) -> None:
    """A page in the middle of a table is gone."""
    with closing(sqlite3.connect(path)) as db:
        pages = [
            page for (page,) in db.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))
        ]
    with path.open("r+b") as file:
        file.seek((pages[len(pages) // 2] - 1) * 4096)
        file.write(b"\xff" * 4096)


def rows_before_the_error(path: Path, command: str) -> set[str]:
    """What SQLite finds until it raises, as it tells it itself: noted as the text is read."""
    seen: list[str] = []

    def noted(raw: bytes) -> str:
        seen.append(raw.decode())
        return seen[-1]

    with closing(sqlite3.connect(path)) as db:
        db.text_factory = noted
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            db.execute(command).fetchall()
    said = {
        sentence for sentence in parse_findings((text,) for text in seen).sentences if not sentence.startswith("***")
    }
    with closing(sqlite3.connect(path)) as db:
        trees = db.execute("SELECT rootpage, type || ' ' || name || ':' FROM sqlite_schema").fetchall()
    for root, tree in trees:
        said = {sentence.replace(f"Tree {root} page", f"{tree} page") for sentence in said}
    return said


@pytest.mark.parametrize("jobs", [None, 3])
async def test_what_was_found_before_sqlite_raised_is_kept_and_what_a_quick_check_finds_besides(
    path: Path, jobs: int | None
) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE INDEX names ON "group"(name)')
    remove_index_entries(path, "names")
    overwrite_leaf(path, "item")
    before = {
        command: rows_before_the_error(path, f"PRAGMA {command}") for command in ("integrity_check", "quick_check")
    }
    assert before["integrity_check"]
    results, facts = await checked(path, jobs=jobs)
    found = {sentence for result in results.values() for sentence in result.findings}
    assert found >= before["integrity_check"] | before["quick_check"]
    assert any("cannot be read" in finding for finding in found)
    assert (facts["findings"], facts["complete"]) == (len(found), False)
    quick, quick_facts = await checked(path, check=CheckLevel.QUICK)
    assert found >= {sentence for result in quick.values() for sentence in result.findings}
    assert set(facts["damaged_indexes"]) >= set(quick_facts["damaged_indexes"])  # type: ignore[arg-type]


async def test_a_full_check_that_lacks_code_tells_what_a_quick_one_finds(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_function("mine", 1, lambda value: value, deterministic=True)
        db.execute("CREATE INDEX of_function ON item(mine(note))")
    remove_index_entries(path, "order")
    quick, _ = await checked(path, check=CheckLevel.QUICK)
    (warning,) = (await plan(path, Operation.CHECK)).warnings
    assert "function: mine()" in warning
    results, facts = await checked(path)
    assert results["quick_check"].findings == quick["quick_check"].findings != ()
    assert facts["damaged_indexes"] == ("order",)


async def test_damage_that_sqlite_lists_is_told_line_by_line(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        pages = db.execute("SELECT pageno FROM dbstat WHERE name = 'item' AND pagetype = 'leaf'").fetchall()
    with path.open("r+b") as file:
        for (page,) in pages[2:4]:
            file.seek((page - 1) * 4096 + 8)
            file.write(b"\1\1" * 20)
    results, facts = await checked(path, check=CheckLevel.QUICK)
    found = results["quick_check"]
    assert len(found.findings) > 1
    assert not any("***" in sentence or "\n" in sentence for sentence in found.findings)
    assert facts["damage"] == found.findings[0]


@pytest.mark.parametrize(
    "damage", [None, _missing, _extra, _misordered, _null, lambda path: overwrite_page(path, "item")]
)
async def test_a_check_in_parts_finds_what_the_check_of_the_whole_finds(
    path: Path, damage: Callable[[Path], None] | None
) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE INDEX names ON "group"(name)')
    if damage is not None:
        damage(path)
    whole, facts = await checked(path)
    parts, facts_of_parts = await checked(path, jobs=3)
    assert len(parts) > len(whole)

    def found(results: dict[str, StepResult]) -> set[str]:
        return {sentence for result in results.values() for sentence in result.findings}

    assert found(parts) == found(whole)
    assert bool(found(parts)) == (damage is not None)
    assert facts_of_parts == facts


async def test_parts_are_checked_at_once_as_far_as_is_asked_for(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE INDEX names ON "group"(name)')
    assert (await plan(path, Operation.CHECK, jobs=3)).parallel == 3
    assert (await plan(path, Operation.CHECK)).parallel == 1  # it is small


async def test_named_tables_are_checked_alone(path: Path) -> None:
    remove_index_entries(path, "order")
    results, facts = await checked(path, objects=("group",))
    assert list(results) == ["integrity_check('group')"]
    assert facts["findings"] == 0
    results, facts = await checked(path, objects=("MY-index", "group"))
    assert list(results) == ["integrity_check('item')", "integrity_check('group')"]
    assert facts["damaged_indexes"] == ("order",)
    results, _ = await checked(path, objects=("group",), check=CheckLevel.QUICK)
    assert list(results) == ["quick_check('group')"]


@pytest.mark.parametrize("name", ["0", "12", "-3", "+4", " 5", "7up", "0x1F"])
async def test_trap_a_table_that_is_called_like_a_number_is_checked_and_not_taken_for_a_limit(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"""
            CREATE TABLE "{name}"(a); CREATE INDEX wrong ON "{name}"(a); CREATE TABLE t(a); CREATE INDEX i ON t(a);
            WITH n(i) AS (VALUES (1), (2), (3), (4)) INSERT INTO "{name}" SELECT i FROM n;
            INSERT INTO t SELECT a FROM "{name}";
        """)
    remove_index_entries(path, "wrong")
    for options in ({"jobs": 2}, {"objects": (name,)}):
        assert (await checked(path, **options))[1]["damaged_indexes"] == ("wrong",)
    assert (await checked(path, objects=("t",)))[1]["damaged_indexes"] == ()


async def test_trap_a_missing_function_or_collation_is_named_and_not_called_damage(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_function("mine", 1, lambda value: value, deterministic=True)
        db.create_collation("german", lambda a, b: (a > b) - (a < b))
        db.execute("CREATE INDEX of_function ON item(mine(note))")
        name = "integrity_check('item')"
        results, facts = await checked(path, objects=("item",))
        assert "unknown function: mine()" in str(results[name].error)
        db.execute("DROP INDEX of_function")
        db.execute("CREATE INDEX of_collation ON item(note COLLATE german)")
    collation, facts = await checked(path, objects=("item",))
    assert "needs a collation" in str(collation[name].error)
    assert "german" in str(collation[name].error)
    for result in (results[name], collation[name]):
        assert (result.status, result.findings) == (Status.FAILED, ())
        assert "damage" not in str(result.error)
    assert "damage" not in facts
    (warning,) = (await plan(path, Operation.CHECK, objects=("item",))).warnings
    assert warning.endswith("sequence: german")


async def test_a_finding_about_a_name_in_no_valid_utf8_is_told(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "my-index", b"CREATE INDEX [my\xffindex] ON item(price DESC)")
        with schema_surgery(db):
            db.execute("UPDATE sqlite_schema SET name = CAST(? AS TEXT) WHERE name = 'my-index'", (b"my\xffindex",))
    _, facts = await checked(path)
    assert facts["damaged_indexes"] == (r"my\xffindex",)


_rows = st.lists(st.tuples(st.text() | st.integers() | st.none()))
_index_sentences = st.sampled_from(
    ["row 12 missing from index ", "row 7 values differ from index ", "wrong # of entries in index "]
)


@given(_rows)
def test_whatever_a_check_says_nothing_of_it_is_lost(rows: list[tuple[object]]) -> None:
    found = parse_findings(rows)
    text = "\n".join(found.sentences)
    for (row,) in rows:
        assert str(row) == "ok" or str(row) in text
    assert found.damage is None or found.damage in found.sentences
    assert bool(found.sentences) == any(str(row) != "ok" for (row,) in rows)


@given(sentence=_index_sentences, name=st.text(min_size=1))
def test_an_index_is_found_in_a_finding_whatever_its_name(sentence: str, name: str) -> None:
    assert parse_findings([(sentence + name,)]).indexes == (name,)


def test_findings_below_a_heading_are_told_one_by_one() -> None:
    rows = [("*** in database main ***\nTree 2 page 5: invalid\nPage 7: never used",), ("row 1 missing from index i",)]
    assert parse_findings(rows) == Findings(
        sentences=("Tree 2 page 5: invalid", "Page 7: never used", "row 1 missing from index i"),
        indexes=("i",),
        damage="Tree 2 page 5: invalid",
        pages=(5, 7),
    )
    assert parse_findings([("ok",)]) == parse_orphans([]) == Findings()


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (
            "row 1 missing from index i",
            "Run reindex, which rebuilds damaged indexes from their tables. Then check again.",
        ),
        ("Page 3: never used", "Restore a backup, or save the readable data with sqlite3 and its .recover. Then"),
        ("NULL value in item.price", "Correct the named rows, in the application or with sqlite3: the data is wrong"),
        ("CHECK constraint failed in item", "Correct the named rows, in the application or with sqlite3"),
        ("non-unique entry in index i", "Correct the named rows, in the application or with sqlite3"),
    ],
)
def test_what_to_do_is_said_by_what_was_found(finding: str, words: str) -> None:
    assert remedy(parse_findings([(finding,)])).startswith(words)


def test_what_to_do_about_several_things_comes_together_and_damage_comes_alone() -> None:
    index, null = parse_findings([("row 1 missing from index i",)]), parse_findings([("NULL value in item.price",)])
    orphan = parse_orphans([("bill", 1, "item", 0)])
    assert remedy(index + null).count(". ") == 2
    assert "lists the rows" in remedy(index + orphan)
    assert remedy(parse_findings([("Page 3: never used",)]) + index + orphan).startswith("Restore a backup")
    assert remedy(Findings()) == ""


def test_what_several_checks_find_is_told_once() -> None:
    one = parse_findings([("row 1 missing from index i",), ("wrong # of entries in index i",)])
    other = parse_findings([("wrong # of entries in index i",), ("Page 3: never used",)])
    assert (one + other).sentences == (*one.sentences, "Page 3: never used")
    assert (one + other).indexes == ("i",)
    assert (one + other).damage == "Page 3: never used"


FULL_TEXT = """
CREATE TABLE t(a);
CREATE VIRTUAL TABLE f USING fts4(a, content={});
INSERT INTO t VALUES ('x y');
INSERT INTO f(docid, a) VALUES (1, 'x y');
"""


@pytest.mark.parametrize("level", CheckLevel)
async def test_a_full_text_index_that_holds_no_text_is_no_finding(path: Path, level: CheckLevel) -> None:
    """SQLite says of each that it cannot be validated: it would need the text."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(FULL_TEXT.format("''"))
        ((said,),) = db.execute(f"PRAGMA {'quick' if level is CheckLevel.QUICK else 'integrity'}_check")
    results, facts = await checked(path, check=level)
    assert statuses(results) == {Status.COMPLETED}, said
    assert (facts["findings"], facts["damage"], facts["complete"]) == (0, None, True)
    assert statuses(await run(path, Operation.BACKUP)) == {Status.COMPLETED}


async def test_a_full_text_index_whose_text_is_gone_is_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(FULL_TEXT.format("'t'") + "DROP TABLE t")
        ((said,),) = db.execute("PRAGMA integrity_check")
    _, facts = await checked(path)
    assert facts["damage"] == (None if said == "ok" else said)
