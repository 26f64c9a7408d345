"""What each page of a file holds is known without reading most of them, and is what SQLite says."""

from __future__ import annotations

import random
import sqlite3
import struct
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from engine.domain.errors import TargetError, UsageError
from engine.domain.page_map import DAMAGED, FREE, INTERNAL, LONG_VALUES, UNSEEN, PageMap
from engine.inspection import inspector
from engine.targets.sqlite.reading import page_map
from tests.sqlite_files import files_beside

SCHEMA: Final = """
CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); CREATE INDEX "an index" ON t(a);
CREATE TABLE keyed(k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE empty(x)
"""
PAGES_BY_DBSTAT: Final = """
SELECT name, sum(pagetype <> 'overflow') FROM dbstat WHERE name <> 'sqlite_schema' GROUP BY name
"""

ROOTS: Final = "SELECT name, rootpage FROM sqlite_schema"


@pytest.fixture(autouse=True)
def as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_map, "LONGEST", 600.0)


def filled(path: Path, *, page_size: int = 1024, then: str = "SELECT 1") -> Path:
    chance = random.Random(1)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"PRAGMA page_size = {page_size}; PRAGMA synchronous = OFF; {SCHEMA}; BEGIN")
        for number in range(3_000):
            long = 3_000 if number % 50 == 0 else 100
            db.execute("INSERT INTO t VALUES (?, ?, ?)", (number, chance.random(), chance.randbytes(long)))
            db.execute("INSERT INTO keyed VALUES (?, ?)", (chance.randbytes(8).hex(), number))
        db.execute("COMMIT")
        db.executescript(then)
    return path


def pages_by_dbstat(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute(PAGES_BY_DBSTAT))


def places_of(found: PageMap, name: str) -> int:
    (number,) = (number for number, one in enumerate(found.objects) if one.name == name)
    return found.owners.count(number)


@pytest.mark.parametrize("page_size", [512, 1024, 4096, 65_536])
async def test_every_table_and_index_has_the_pages_that_sqlite_counts(tmp_path: Path, page_size: int) -> None:
    path = filled(tmp_path / "a.db", page_size=page_size)
    found = await inspector.page_map(str(path))
    assert {one.name: one.pages for one in found.objects if one.name != "sqlite_schema"} == pages_by_dbstat(path)
    assert found.pages == path.stat().st_size // page_size
    assert {one.name for one in found.objects if one.is_index} == {"an index"}
    assert files_beside(path) == {"a.db"}


async def test_of_a_small_file_every_page_is_on_the_map(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", then="DELETE FROM t WHERE id BETWEEN 1000 AND 2000")
    found = await inspector.page_map(str(path))
    assert len(found.owners) == found.pages <= page_map.PLACES
    assert found.owners.count(FREE) == found.free_pages > 0
    for name, pages in pages_by_dbstat(path).items():
        assert places_of(found, name) == pages
    with closing(sqlite3.connect(path)) as db:
        ((long,),) = db.execute("SELECT count(*) FROM dbstat WHERE pagetype = 'overflow'")
        ((unused,),) = db.execute("SELECT avg(1.0 - 1.0 * unused / (pgsize - 8)) FROM dbstat WHERE pagetype = 'leaf'")
    assert found.owners.count(LONG_VALUES) == long
    fills = [fill for fill in found.fills if fill is not None]
    assert sum(fills) / len(fills) == pytest.approx(unused, abs=0.01)


async def test_of_a_large_file_evenly_spread_pages_are_on_the_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_map, "PLACES", 100)
    path = filled(tmp_path / "a.db")
    found = await inspector.page_map(str(path))
    assert len(found.owners) == len(found.fills) == 100
    for name, pages in pages_by_dbstat(path).items():
        assert places_of(found, name) == pytest.approx(100 * pages / found.pages, abs=15)


async def test_rows_in_order_have_no_jumps_and_those_of_random_keys_have_many(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", then="VACUUM")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE mixed(k TEXT PRIMARY KEY) WITHOUT ROWID")
        chance = random.Random(2)
        db.execute("BEGIN")
        db.executemany("INSERT INTO mixed VALUES (?)", ((chance.randbytes(20).hex(),) for _ in range(20_000)))
        db.execute("COMMIT")
    found = await inspector.page_map(str(path))
    jumps = {one.name: one.jumps / one.pages for one in found.objects}
    assert jumps.pop("mixed") > 0.8
    assert found.owners.count(LONG_VALUES) > 100
    assert set(jumps.values()) == {0.0}
    (mixed,) = (number for number, one in enumerate(found.objects) if one.name == "mixed")
    in_order = [found.in_order[place] for place, owner in enumerate(found.owners) if owner == mixed]
    assert in_order.count(False) == found.objects[mixed].jumps


async def test_long_values_of_another_table_between_its_pages_are_out_of_order(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA synchronous = OFF; CREATE TABLE short(a); CREATE TABLE long(a); BEGIN")
        for _ in range(500):
            db.execute("INSERT INTO long VALUES (zeroblob(20000))")
            db.execute("INSERT INTO short VALUES (zeroblob(1000))")
        db.execute("COMMIT")
    jumps = {one.name: one.jumps / one.pages for one in (await inspector.page_map(str(path))).objects}
    assert jumps["short"] > 0.9


async def test_pages_that_only_the_log_holds_are_on_the_map(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", then="PRAGMA journal_mode = WAL")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        in_file = await inspector.page_map(str(path))
        db.execute("DELETE FROM t WHERE id > 1000")
        db.execute("CREATE TABLE added AS SELECT randomblob(500) FROM keyed")
        in_log = await inspector.page_map(str(path))
        assert places_of(in_log, "added") > 0
        assert places_of(in_log, "t") < places_of(in_file, "t")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert await inspector.page_map(str(path)) == in_log


async def test_what_is_not_committed_is_not_on_the_map(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", then="PRAGMA journal_mode = WAL")
    before = await inspector.page_map(str(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA cache_size = 1; BEGIN; DELETE FROM t")
        assert Path(f"{path}-wal").stat().st_size > 0
        assert await inspector.page_map(str(path)) == before


async def test_a_log_that_claims_any_number_of_pages_takes_no_memory(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db")
    log = tmp_path / "any.log"
    header = struct.pack(">8xI4x8s8x", 1024, b"salted..")
    log.write_bytes(header + struct.pack(">II8s8x", 1, 2**32 - 1, b"salted..") + path.read_bytes()[:1024])
    with path.open("rb") as file, log.open("rb") as frames:
        found = page_map.map_of(file.fileno(), [], log=frames.fileno())
    assert isinstance(found, PageMap)
    assert found.pages == path.stat().st_size // 1024 + 1


async def test_a_damaged_page_leaves_the_rest_on_the_map(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db")
    before = await inspector.page_map(str(path))
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 't'")
    with path.open("r+b") as file:
        file.seek((root - 1) * 1024)
        file.write(bytes(range(256)) * 4)
    found = await inspector.page_map(str(path))
    assert places_of(found, "keyed") == places_of(before, "keyed")
    assert places_of(found, "t") < places_of(before, "t")


async def test_a_page_whose_header_is_impossible_is_damaged(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db")
    before = await inspector.page_map(str(path))
    with closing(sqlite3.connect(path)) as db:
        (page, *_), *_ = db.execute("SELECT pageno FROM dbstat WHERE name = 'keyed' AND pagetype = 'leaf' LIMIT 1")
    overwrite(path, page)
    found = await inspector.page_map(str(path))
    assert [place for place, owner in enumerate(found.owners, 1) if owner == DAMAGED] == [page]
    assert [owner for owner in found.owners if owner != DAMAGED] == [
        owner for place, owner in enumerate(before.owners, 1) if place != page
    ]


@pytest.mark.parametrize("pagetype", ["internal", "leaf"])
async def test_what_a_damaged_page_should_lead_to_is_no_long_value(tmp_path: Path, pagetype: str) -> None:
    path = filled(tmp_path / "a.db", then="DROP TABLE keyed; UPDATE t SET b = 7")
    assert LONG_VALUES not in (await inspector.page_map(str(path))).owners
    with closing(sqlite3.connect(path)) as db:
        pages = db.execute("SELECT pageno FROM dbstat WHERE name = 't' AND pagetype = ?", (pagetype,)).fetchall()
    overwrite(path, pages[0][0])
    found = await inspector.page_map(str(path))
    assert found.owners[pages[0][0] - 1] == DAMAGED
    assert LONG_VALUES not in found.owners
    assert (UNSEEN in found.owners) is (pagetype == "internal")


async def test_what_is_written_meanwhile_is_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, map_of = filled(tmp_path / "a.db"), page_map.map_of
    maps: list[PageMap] = []

    def as_if_written(*arguments: Any, **options: Any) -> PageMap:
        found = map_of(*arguments, **options)
        assert isinstance(found, PageMap)
        maps.append(found if maps else replace(found, owners=(DAMAGED, *found.owners[1:])))
        return maps[-1]

    monkeypatch.setattr(page_map, "map_of", as_if_written)
    found = await inspector.page_map(str(path))
    assert len(maps) == 2
    assert DAMAGED not in found.owners


@pytest.mark.parametrize("page_size", [512, 1024])
async def test_pages_that_sqlite_keeps_for_itself_are_known(tmp_path: Path, page_size: int) -> None:
    path = filled(tmp_path / "a.db", page_size=page_size, then="PRAGMA auto_vacuum = FULL; VACUUM")
    found = await inspector.page_map(str(path))
    with closing(sqlite3.connect(path)) as db:
        used = {page for (page,) in db.execute("SELECT pageno FROM dbstat")}
    internal = [place for place, owner in enumerate(found.owners, 1) if owner == INTERNAL]
    assert internal == sorted({*range(1, found.pages + 1)} - used)
    assert internal[0] == 2


def overwrite(path: Path, page: int) -> None:
    page_size = int.from_bytes(path.read_bytes()[16:18])
    with path.open("r+b") as file:
        file.seek((page - 1) * page_size)
        file.write(bytes(page_size))


async def test_damaged_pages_that_lead_to_themselves_count_once(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 't'")
    leads = bytes([5]) + struct.pack(">HHHBI", 0, 500, 1020, 0, root) + struct.pack(">500H", *[1020] * 500)
    with path.open("r+b") as file:
        file.seek((root - 1) * 1024)
        file.write(leads.ljust(1020, b"\0") + struct.pack(">I", root))
    found = await inspector.page_map(str(path))
    assert {one.name: one.pages for one in found.objects}["t"] <= 2


async def test_what_there_was_no_time_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_map, "LONGEST", -1.0)
    found = await inspector.page_map(str(filled(tmp_path / "a.db")))
    assert UNSEEN in found.owners


def test_once_the_time_is_up_no_table_is_read_however_many_there_are(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("".join(f"CREATE TABLE t{number}(a);" for number in range(20)))
        roots = [page_map.Root(name, page, is_index=False) for name, page in db.execute(ROOTS)]
    with path.open("rb") as file:
        found = page_map.map_of(file.fileno(), roots, in_all=-1.0)
    assert isinstance(found, PageMap)
    assert {one.pages for one in found.objects} == {0}
    assert set(found.owners) == {UNSEEN}


async def test_how_full_pages_are_is_told_as_far_as_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path / "a.db", then="DELETE FROM t WHERE id BETWEEN 1000 AND 2000")
    whole = await inspector.page_map(str(path))
    monkeypatch.setattr(page_map, "_fills", lambda *_: [0.5] * 10)
    found = await inspector.page_map(str(path))
    assert found.fills == (0.5,) * 10 + (None,) * (found.pages - 10)
    assert found.owners[:10] == whole.owners[:10]
    assert set(found.owners[10:]) == {FREE, UNSEEN}


async def test_only_a_sqlite_file_has_a_page_map(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no SQLite file"):
        await inspector.page_map("postgresql:///sales")
    with pytest.raises(TargetError, match="no such file"):
        await inspector.page_map(str(tmp_path / "none.db"))


@pytest.mark.parametrize("page_size", [512, 4096])
def test_sizes_of_trees_are_about_what_sqlite_counts(tmp_path: Path, page_size: int) -> None:
    path = filled(tmp_path / "a.db", page_size=page_size)
    with closing(sqlite3.connect(path)) as db, path.open("rb") as file:
        sizes = page_map.sizes_of(file.fileno(), page_map.roots_of(db), in_all=600)
        by_sqlite = pages_by_dbstat(path)
    pages = {name: size.pages for name, size in sizes.items() if name in by_sqlite}
    assert pages == pytest.approx(by_sqlite, rel=0.1, abs=1)
    assert [sizes[name].cells for name in ("t", "an index", "keyed", "empty")] == pytest.approx(
        [3000] * 3 + [0], rel=0.1
    )


def test_trees_come_in_the_order_in_which_vacuum_copies_them(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for command in (
            "CREATE TABLE a(id INTEGER PRIMARY KEY, v UNIQUE)",
            "CREATE TABLE b(k TEXT PRIMARY KEY, v) WITHOUT ROWID",
            "CREATE INDEX of_b ON b(v)",
            "CREATE INDEX of_a ON A(v)",
        ):
            db.execute(command)
        roots = page_map.copied_roots(db)
        assert sorted(roots, key=lambda root: root.page) == sorted(
            (root for root in page_map.roots_of(db) if root.page > 1), key=lambda root: root.page
        )
        db.executemany("INSERT INTO a VALUES (?, ?)", [(number, number) for number in range(500)])
        with path.open("rb") as file:
            sizes = page_map.sizes_of(file.fileno(), roots, in_all=600)
    assert list(sizes) == ["a", "sqlite_autoindex_a_1", "of_a", "b", "of_b"]
    assert [size.is_keyed for size in sizes.values()] == [False, True, True, True, True]


def test_it_is_known_whether_the_entries_of_an_index_are_in_the_order_of_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, at, key, note); CREATE INDEX ordered ON t(at);"
            "CREATE INDEX random ON t(key); CREATE INDEX long ON t(note);"
            "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE INDEX of_keys ON w(v)"
        )
        db.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?)",
            ((n, 7 * n, f"{7919 * n % 5000:05}", f"{n:05}" * 900) for n in range(1, 5000) if n % 5),
        )
        db.execute("INSERT INTO w SELECT key, at FROM t")
        with path.open("rb") as file:
            sizes = page_map.sizes_of(file.fileno(), page_map.roots_of(db), in_all=600)
    assert sizes["ordered"].in_order > 0.95
    assert sizes["random"].in_order < 0.05
    assert {sizes[name].in_order for name in ("t", "long", "w", "of_keys")} == {0}


def test_a_tree_that_cannot_be_read_in_time_has_no_size(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db, path.open("rb") as file:
        assert page_map.sizes_of(file.fileno(), page_map.roots_of(db), in_all=-1) == {}
        damaged = [page_map.Root("gone", 1_000_000, is_index=False), page_map.Root("zero", 0, is_index=True)]
        assert page_map.sizes_of(file.fileno(), damaged, in_all=600) == {}
