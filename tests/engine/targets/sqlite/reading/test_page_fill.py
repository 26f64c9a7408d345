"""A sample of the pages tells how much VACUUM gives back, on databases of all kinds."""

from __future__ import annotations

import os
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation, Options
from engine.targets.sqlite.reading import page_fill
from engine.targets.sqlite.reading.page_fill import PageFill, sampled_fill
from engine.targets.sqlite.target import SqliteTarget

PLAIN: Final = "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); CREATE INDEX i ON t(a)"
KEYED: Final = "CREATE TABLE t(k TEXT PRIMARY KEY, a, b) WITHOUT ROWID; CREATE INDEX i ON t(a)"
ROWS: Final = 15_000
POINTS: Final = 0.03


@pytest.fixture(autouse=True)
def as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_fill, "LONGEST", 600.0)


def filled(path: Path, schema: str, *, length: tuple[int, int], page_size: int = 4096, then: str = "") -> Path:
    chance = random.Random(1)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"PRAGMA page_size = {page_size}; PRAGMA synchronous = OFF; {schema}")
        keys = (chance.randbytes(8).hex() if "WITHOUT" in schema else number for number in range(ROWS))
        rows = ((key, chance.randrange(10**6), chance.randbytes(chance.randint(*length))) for key in keys)
        db.execute("BEGIN")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        db.execute("COMMIT")
        db.execute(then)
    return path


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def fill_of(path: Path) -> PageFill | None:
    with opened(path) as descriptor:
        return sampled_fill(descriptor, random.Random(1))


def pages_in_use(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        ((pages,),) = db.execute(
            "SELECT p.page_count - f.freelist_count FROM pragma_page_count p, pragma_freelist_count f"
        )
    return int(pages)


@pytest.mark.parametrize(
    ("schema", "length", "page_size", "then"),
    [
        (PLAIN, (0, 300), 4096, ""),
        (PLAIN, (100, 100), 1024, "DELETE FROM t WHERE a % 7 = 0"),
        (PLAIN, (0, 300), 4096, "DELETE FROM t WHERE id % 5 < 2"),
        (PLAIN, (0, 300), 4096, "DELETE FROM t WHERE id < 9000"),
        (PLAIN, (0, 300), 4096, "UPDATE t SET b = b || b || b WHERE id % 3 = 0"),
        (PLAIN, (300, 1500), 2048, "DELETE FROM t WHERE a % 4 = 0"),
        (PLAIN, (300, 900), 1024, "DELETE FROM t WHERE a % 4 = 0"),
        (PLAIN, (300, 1500), 32768, "DELETE FROM t WHERE id % 5 < 2"),
        (KEYED, (0, 300), 4096, ""),
        (KEYED, (0, 300), 4096, "DELETE FROM t WHERE a % 2 = 0"),
        ("PRAGMA auto_vacuum = 1; " + PLAIN, (0, 300), 4096, ""),
    ],
)
def test_what_vacuum_leaves_is_told_within_three_points(
    tmp_path: Path, schema: str, length: tuple[int, int], page_size: int, then: str
) -> None:
    path = filled(tmp_path / "a.db", schema, length=length, page_size=page_size, then=then)
    found, before = fill_of(path), pages_in_use(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("VACUUM")
    assert found is not None
    assert found.packed == pytest.approx(pages_in_use(path) / before, abs=POINTS)


def test_the_unused_bytes_are_those_that_sqlite_counts(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", PLAIN, length=(0, 300), then="DELETE FROM t WHERE id % 5 < 2")
    with closing(sqlite3.connect(path)) as db:
        ((share,),) = db.execute("SELECT 1.0 * sum(unused) / sum(pgsize) FROM dbstat WHERE pagetype = 'leaf'")
    found = fill_of(path)
    assert found is not None
    assert found.unused == pytest.approx(share, abs=POINTS)


def test_what_lies_on_the_pages_is_told_as_dbstat_counts_it(tmp_path: Path) -> None:
    def shares(path: Path) -> tuple[float, float]:
        """Of pages that hold keys, and of those that hold only parts of long values."""
        with closing(sqlite3.connect(path)) as db:
            ((keyed, values, pages),) = db.execute(
                "SELECT sum(pagetype = 'leaf' AND name <> 't'), sum(pagetype = 'overflow'), count(*) FROM dbstat"
            )
        return keyed / pages, values / pages

    plain = filled(tmp_path / "plain.db", PLAIN, length=(50, 400))
    long = filled(tmp_path / "long.db", PLAIN, length=(5_000, 9_000))
    keyed = filled(tmp_path / "keyed.db", KEYED, length=(50, 200))
    for path in (plain, long):
        found = fill_of(path)
        assert found is not None
        assert (found.keyed, found.values) == pytest.approx(shares(path), abs=POINTS)
    found = fill_of(keyed)
    assert found is not None
    assert found.keyed > 0.9
    assert found.values == 0


def test_nothing_is_told_of_few_pages_of_a_file_that_shrank_or_of_no_database(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", PLAIN, length=(0, 300), then="DELETE FROM t WHERE id < 9000")
    small = tmp_path / "small.db"
    with closing(sqlite3.connect(small, isolation_level=None)) as db:
        db.execute(PLAIN.partition(";")[0])
    os.truncate(path, 8192)
    (tmp_path / "text").write_text("no database " * 1000)
    (tmp_path / "empty").touch()
    for one in (path, small, tmp_path / "text", tmp_path / "empty"):
        assert fill_of(one) is None


def test_a_list_of_free_pages_that_leads_in_a_circle_or_out_of_the_file_ends(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", PLAIN, length=(0, 300), then="DELETE FROM t WHERE id < 9000")
    with path.open("r+b") as file:
        file.seek(32)
        trunk = int.from_bytes(file.read(4), "big")
        for following in (trunk, 2**31):
            file.seek((trunk - 1) * 4096)
            file.write(following.to_bytes(4, "big"))
            file.flush()
            assert fill_of(path) is None


def test_the_number_of_pages_in_a_damaged_header_is_not_believed(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.db", PLAIN, length=(0, 300))
    known = fill_of(path)
    assert known is not None
    with path.open("r+b") as file:
        file.seek(28)
        file.write(b"\xff" * 4)
        file.flush()
        assert fill_of(path) == known
        file.seek(16)
        file.write(b"\x00\x00")
        file.flush()
        assert fill_of(path) is None


async def test_the_plan_of_vacuum_says_what_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.targets.sqlite.reading.reader.WORTH_FROM", 0)
    path = filled(tmp_path / "a.db", PLAIN, length=(0, 300), then="DELETE FROM t WHERE id % 5 < 2")
    async with SqliteTarget(str(path)).connect(lock_timeout=1) as session:
        step = (await session.plan(Operation.VACUUM, Options())).plan.steps[0]
    assert re.search(r"; about 1\.\d+ MB come back$", step.reason)


async def test_advice_goes_by_a_sample_where_no_time_is_left_to_look_at_all_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.advising.collect.WORTH_FROM", 0)
    path = filled(tmp_path / "a.db", PLAIN, length=(0, 300), then="DELETE FROM t WHERE id % 5 < 2")
    async with SqliteTarget(str(path)).look(lock_timeout=1) as look:
        advice, measured = await look.advise(TargetHistory(now=0), budget=0.0)
    (vacuum,) = [one for one in advice if one.operation is Operation.VACUUM]
    assert "% of the file is reclaimable" in vacuum.reason
    assert "in partly filled pages" in vacuum.reason
    assert measured is None
