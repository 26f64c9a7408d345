"""The page maps before and after an operation that moves pages: kept where they are cheap, and never in its way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.kept_page_map import KeptMaps, kept_maps
from engine.domain.page_map import NotMapped
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import NOT_MAPPED, PAGES_AFTER, PAGES_BEFORE, Facts
from engine.inspection import inspector
from engine.targets import resolve
from engine.targets.sqlite.running import layout, swap
from engine.targets.step_execution import StepContext
from tests.engine.targets.sqlite.a_session import statuses
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import make_database

MAPS = {PAGES_BEFORE, PAGES_AFTER}


@pytest.fixture(autouse=True)
def as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LONGEST", 600.0)
    monkeypatch.setattr(layout, "LEAST", 0)


async def facts_after(path: Path, operation: Operation, **options: object) -> Facts:
    """Those of the operation, once all its steps have run."""
    target = resolve(str(path))
    async with stepwise(target.connect(lock_timeout=5, writing=target.operations[operation].writes)) as session:
        planned = await session.plan(operation, Options(**options))  # type: ignore[arg-type]
        assert not MAPS & set(await session.planned.facts())
        results = {step.command: await session.execute(step, StepContext()) for step in planned.steps}
        assert statuses(results) == {Status.COMPLETED}
        return await session.planned.facts()


def maps_in(facts: Facts) -> KeptMaps:
    maps = kept_maps(facts)
    assert maps is not None
    return maps


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize("swap", [False, True])
async def test_vacuum_keeps_the_maps_before_and_after(tmp_path: Path, journal_mode: str, *, swap: bool) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=journal_mode)
    first = await inspector.page_map(str(path))
    maps = maps_in(await facts_after(path, Operation.VACUUM, swap=swap))
    assert (maps.before.pages, maps.before.free_pages) == (first.pages, first.free_pages)
    assert maps.before.free_pages > 0
    last = await inspector.page_map(str(path))
    assert (maps.after.pages, maps.after.free_pages) == (last.pages, 0)
    assert {one.name: one.jumps for one in maps.after.objects} == {one.name: one.jumps for one in last.objects}


@pytest.mark.parametrize("operation", [Operation.REINDEX, Operation.INCREMENTAL_VACUUM, Operation.FTS_OPTIMIZE])
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_whatever_moves_pages_keeps_them(tmp_path: Path, operation: Operation, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=journal_mode, auto_vacuum="incremental")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO search(search, rank) VALUES ('automerge', 0)")
        for number in range(30):
            db.execute("INSERT INTO search VALUES (?)", (f"more{number} " * 500,))
        db.execute("CREATE INDEX scattered ON item(note)")
        db.execute("UPDATE item SET note = random() || note")
        db.execute("DELETE FROM item WHERE rowid % 3 = 0")
    maps = maps_in(await facts_after(path, operation))
    assert maps.before != maps.after


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.CHECK, Operation.OPTIMIZE])
async def test_what_moves_no_pages_keeps_none(tmp_path: Path, operation: Operation) -> None:
    facts = await facts_after(make_database(tmp_path / "a.db"), operation)
    assert not {*MAPS, NOT_MAPPED} & set(facts)


async def test_nothing_is_kept_twice_that_did_not_change(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    await facts_after(path, Operation.VACUUM)
    assert not {*MAPS, NOT_MAPPED} & set(await facts_after(path, Operation.VACUUM))


async def test_an_exchange_that_is_refused_keeps_no_map_of_its_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "_completed", lambda *_: "its owner")
    target = resolve(str(make_database(tmp_path / "a.db")))
    async with stepwise(target.connect(lock_timeout=5)) as session:
        planned = await session.plan(Operation.VACUUM, Options(swap=True))
        (result,) = [await session.execute(step, StepContext()) for step in planned.steps]
        assert result.reason is Reason.REFUSED
        assert not {*MAPS, NOT_MAPPED} & set(await session.planned.facts())


async def test_what_follows_an_exchange_is_in_the_map_after(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE note(body TEXT)")
        db.execute("CREATE VIRTUAL TABLE search USING fts5(body, content='note', content_rowid='rowid')")
        db.executemany("INSERT INTO note VALUES (?)", [(f"word{number} " * 30,) for number in range(2000)])
        db.execute("DELETE FROM note WHERE rowid % 2")
    maps = maps_in(await facts_after(path, Operation.VACUUM, swap=True, force=True))
    last = await inspector.page_map(str(path))
    assert (maps.after.pages, maps.after.free_pages) == (last.pages, last.free_pages)


async def test_a_small_file_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LEAST", 10**9)
    facts = await facts_after(make_database(tmp_path / "a.db"), Operation.VACUUM)
    assert not {*MAPS, NOT_MAPPED} & set(facts)


async def test_what_takes_too_long_is_left_out_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LONGEST", -1.0)
    facts = await facts_after(make_database(tmp_path / "a.db"), Operation.VACUUM)
    assert facts[NOT_MAPPED] == NotMapped.SLOW
    assert not MAPS & set(facts)
