"""Damaged pages are reported by table or index; REINDEX is advised where it repairs all of them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from engine import Engine, Level, Operation, Options, Request, Status
from engine.domain.advice import Advice, needed
from engine.domain.jobs import ParentJob
from engine.domain.kept_page_map import kept_maps
from engine.domain.page_map import DAMAGED
from engine.domain.requests import CheckLevel
from engine.history.target_history import LAST_JOBS
from engine.inspection import inspector
from engine.targets.sqlite.running import layout
from engine.targets.sqlite.running.damage_location import Tree, locate, named_pages
from tests.building import SQLITE_OPERATIONS
from tests.engine.execution.test_recovery import TO_BE_REBUILT, when_vacuum_is_done
from tests.engine.targets.sqlite.another_process import another_process
from tests.sqlite_files import content, integrity, make_database, set_schema_sql

PAGE = 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.executescript("""
            CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT, number INTEGER);
            CREATE INDEX words ON t(word);
            CREATE INDEX numbers ON t(number);
            CREATE TABLE parent(key TEXT PRIMARY KEY);
            CREATE TABLE child(parent TEXT REFERENCES parent);
        """)
        db.executemany(
            "INSERT INTO t(word, number) VALUES (?, ?)", [(f"{i * 7919 % 900:06}" * 3, i) for i in range(900)]
        )
        db.executemany("INSERT INTO parent VALUES (?)", [(f"{i:020}",) for i in range(500)])
        db.execute("INSERT INTO child SELECT key FROM parent")
        db.execute("ANALYZE")
    return path


def pages_of(path: Path, name: str, kind: str = "leaf") -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY pageno", (name, kind))
        return [page for (page,) in rows]


def overwrite(path: Path, page: int, at: int, with_bytes: bytes) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE + at)
        file.write(with_bytes)


def free_block(path: Path, name: str) -> None:
    overwrite(path, pages_of(path, name)[3], 1, b"\x03")


def cell_pointer(path: Path, name: str) -> None:
    overwrite(path, pages_of(path, name)[3], 12, b"\xff\xff\xff\xff")


def fragments(path: Path, name: str) -> None:
    overwrite(path, pages_of(path, name)[3], 7, b"\x07")


def whole_page(path: Path, name: str) -> None:
    overwrite(path, pages_of(path, name)[3], 0, b"\xff" * PAGE)


def interior(path: Path, name: str) -> None:
    overwrite(path, pages_of(path, name, "internal")[0], 0, bytes(PAGE))


async def run(engine: Engine, path: Path, *operations: Operation, **options: object) -> ParentJob:
    request = Request(target=str(path), operations=operations, options=Options(**options))  # type: ignore[arg-type]
    return await carried_out(engine, request)


async def carried_out(engine: Engine, request: Request) -> ParentJob:
    (job,) = await engine.submit([request])
    (done,) = await engine.wait([job.id])
    return done


async def advice(engine: Engine, path: Path) -> dict[Operation, Advice]:
    return {one.operation: one for one in await engine.advise(str(path), budget=None)}


async def night(engine: Engine, path: Path) -> ParentJob | None:
    request = needed(
        Request(target=str(path), operations=SQLITE_OPERATIONS), await engine.advise(str(path), budget=None)
    )
    return None if request is None else await carried_out(engine, inspector.applicable(request))


@pytest.mark.parametrize("level", CheckLevel)
@pytest.mark.parametrize("index", ["words", "sqlite_autoindex_parent_1"])
@pytest.mark.parametrize("damage", [free_block, cell_pointer, fragments])
async def test_damage_within_pages_of_one_index_names_it_and_what_is_needed_rebuilds_it(
    path: Path, tmp_path: Path, damage: Callable[[Path, str], None], index: str, level: CheckLevel
) -> None:
    before = content(path)
    damage(path, index)
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as engine:
        (check,) = (await run(engine, path, Operation.CHECK, check=level)).children
        facts = check.after or {}
        assert check.status is Status.FAILED
        assert (facts["damage"], facts["damaged_indexes"]) == (None, [index])
        assert "Tree " not in (check.error or "")
        assert index in (check.error or "")
        assert "reindex" in str(facts["remedy"])
        reindex = (await advice(engine, path))[Operation.REINDEX]
        assert (reindex.level, reindex.objects) == (Level.NOW, (index,))
        done = await night(engine, path)
        assert done is not None
        assert done.children[0].operation is Operation.REINDEX
        assert [step.object for step in (await engine.job(done.id)).children[0].steps] == [index]
        for _ in range(4):
            done = await night(engine, path)
            if done is None:
                break
            assert done.status is Status.COMPLETED
        assert done is None
        assert not any(one.is_urgent for one in (await advice(engine, path)).values())
    assert integrity(path) == []
    assert content(path) == before


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("t", free_block),
        ("t", cell_pointer),
        ("t", fragments),
        ("t", whole_page),
        ("words", whole_page),
        ("words", interior),
    ],
)
async def test_damage_of_a_table_or_of_pages_that_are_lost_is_damage_and_names_whose_it_is(
    path: Path, tmp_path: Path, name: str, damage: Callable[[Path, str], None]
) -> None:
    damage(path, name)
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as engine:
        (check,) = (await run(engine, path, Operation.CHECK)).children
        assert str((check.after or {})["damage"]).startswith(f"{'table' if name == 't' else 'index'} {name}: ")
        assert (await advice(engine, path))[Operation.REINDEX].level is Level.NONE


async def test_r31_a_full_check_says_where_damage_is_that_the_map_met(path: Path, tmp_path: Path) -> None:
    free_block(path, "words")
    async with Engine.open(tmp_path / "store" / "jobs.db", workers=1) as engine:
        await engine.page_map(str(path))
        assert [one.object for one in await engine.known_damage(str(path))] == [""]
        (check,) = (await run(engine, path, Operation.CHECK)).children
        assert check.status is Status.FAILED
        (rebuilt,) = (await run(engine, path, Operation.REINDEX)).children
        assert rebuilt.status is Status.COMPLETED


async def test_damage_of_a_table_beside_that_of_an_index_is_damage(path: Path, tmp_path: Path) -> None:
    free_block(path, "words")
    free_block(path, "t")
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as engine:
        (check,) = (await run(engine, path, Operation.CHECK)).children
        assert str((check.after or {})["damage"]).startswith("table t: ")


async def test_one_index_with_more_findings_than_are_told_is_still_damaged_alone(path: Path, tmp_path: Path) -> None:
    for page in pages_of(path, "numbers")[1:5]:
        overwrite(path, page, 8, b"\x7f\xff" * 40)
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as engine:
        (check,) = (await run(engine, path, Operation.CHECK)).children
        assert ((check.after or {})["damage"], (check.after or {})["damaged_indexes"]) == (None, ["numbers"])


async def test_random_damage_of_an_index_is_mended_by_reindex_wherever_that_is_advised(tmp_path: Path) -> None:
    chance = random.Random(7)
    for trial in range(25):
        path = make_database(tmp_path / f"{trial}.db", rows=300)
        with closing(sqlite3.connect(path)) as db:
            pages = db.execute("SELECT pageno FROM dbstat WHERE name = 'order'").fetchall()
            before = content(path)
        with path.open("r+b") as file:
            file.seek(
                (chance.choice(pages)[0] - 1) * 4096 + chance.choice([chance.randrange(40), chance.randrange(4000)])
            )
            file.write(chance.randbytes(chance.choice([1, 1, 4, 30])))
        async with Engine.open(tmp_path / f"state{trial}" / "jobs.db", workers=1) as engine:
            await run(engine, path, Operation.CHECK)
            for _ in range(5):
                done = await night(engine, path)
                if done is None:
                    break
            assert done is None
            last = (await run(engine, path, Operation.CHECK)).children[0].after or {}
        if last["findings"] == 0:
            assert integrity(path) == []
            assert content(path) == before
        else:
            assert last["damage"] or last["damaged_indexes"] == ["order"]


async def test_the_map_shows_the_pages_that_the_last_check_names_until_they_are_rebuilt(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LEAST", 0)
    monkeypatch.setattr(layout, "LONGEST", 600.0)
    page = pages_of(path, "words")[3]
    fragments(path, "words")
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as engine:
        assert DAMAGED not in (await engine.page_map(str(path))).owners  # its header is plausible
        (check,) = (await run(engine, path, Operation.CHECK)).children
        assert (check.after or {})["damaged_pages"] == [page]
        found = await engine.page_map(str(path))
        assert found.named_by_check == (page,)
        assert [place + 1 for place, owner in enumerate(found.owners) if owner == DAMAGED] == [page]
        (reindex,) = (await run(engine, path, Operation.REINDEX, objects=("words",))).children
        assert reindex.status is Status.COMPLETED
        maps = kept_maps(reindex.after)
        assert maps is not None
        assert [maps.before.owners.count(DAMAGED), maps.after.owners.count(DAMAGED)] == [1, 0]
        assert (await engine.page_map(str(path))).named_by_check == ()
        for _ in range(LAST_JOBS):
            await run(engine, path, Operation.ANALYZE)
        assert (await engine.page_map(str(path))).named_by_check == ()


async def test_a_reindex_that_fails_leaves_the_marks_of_damaged_pages(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LEAST", 0)
    monkeypatch.setattr(layout, "LONGEST", 600.0)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE twice(a)")
        db.execute("INSERT INTO twice VALUES (1), (1)")
        db.execute("CREATE INDEX of_twice ON twice(a)")
        set_schema_sql(db, "of_twice", b"CREATE UNIQUE INDEX of_twice ON twice(a)")
        db.commit()
    page = pages_of(path, "words")[3]
    fragments(path, "words")
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as engine:
        await run(engine, path, Operation.CHECK)
        (reindex,) = (await run(engine, path, Operation.REINDEX, objects=("of_twice",))).children
        assert reindex.status is Status.FAILED
        assert kept_maps(reindex.after) is None, "nothing has changed"
        assert (await engine.page_map(str(path))).named_by_check == (page,)


async def test_a_vacuum_whose_follow_up_fails_has_written_the_damaged_pages_anew(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LEAST", 0)
    monkeypatch.setattr(layout, "LONGEST", 600.0)
    monkeypatch.setattr("engine.targets.sqlite.running.operation.FOLLOW_UP_LOCK_TIMEOUT", 0.1)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(TO_BE_REBUILT)
    page = pages_of(path, "words")[3]
    fragments(path, "words")
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as engine:
        await run(engine, path, Operation.CHECK)
        assert (await engine.page_map(str(path))).named_by_check == (page,)
        with ExitStack() as other:
            when_vacuum_is_done(monkeypatch, lambda: other.enter_context(another_process(path, "BEGIN IMMEDIATE")))
            (vacuum,) = (await run(engine, path, Operation.VACUUM, force=True, lock_timeout=0.1)).children
        assert [step.status for step in vacuum.steps] == [Status.COMPLETED, Status.FAILED]
        assert (await engine.page_map(str(path))).named_by_check == ()


def test_the_pages_that_findings_name_are_known() -> None:
    sentences = [
        "Tree 5 page 1234: btreeInitPage() returns error code 11",
        "Tree 5 page 7 cell 3: 2nd reference to page 8",
        "Tree 5 page 9 right child: Extends off end of page",
        "On tree page 11 cell 2: Rowid 4 out of order",
        "Page 10: never used",
        "Fragmentation of 2 bytes reported as 7 on page 15",
        "Multiple uses for byte 99 of page 16",
        "row 5 missing from index Page 12: ",
        "wrong # of entries in index Tree 5 page 13",
        "NULL value in Page 14.word",
    ]
    assert named_pages(sentences) == [7, 9, 10, 11, 15, 16, 1234]


def test_a_page_that_two_trees_share_is_not_within_an_index() -> None:
    sentences = ["Tree 3 page 9 cell 0: 2nd reference to page 7", "Tree 3 page 9: free space corruption"]
    found = locate(sentences, {3: Tree("i", is_index=True)}, {})
    assert [place.index_to_rebuild for place in found.values()] == [None, "i"]
