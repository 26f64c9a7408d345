"""The page map of a SQLite file on the screen, at every size: of a target, and of a job before and after."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.app import App

from engine import ChildJob, Engine, Operation, Status
from engine.domain.claims import Outcome, Report
from engine.domain.damage import Damage, DamageSource
from engine.domain.kept_page_map import packed
from engine.domain.page_map import (
    DAMAGED,
    FREE,
    INTERNAL,
    LONG_VALUES,
    UNSEEN,
    MappedObject,
    NotMapped,
    PageMap,
    Reading,
    ReadTimes,
    with_named,
)
from engine.domain.requests import OnDuplicate
from engine.domain.steps import NOT_MAPPED, PAGES_AFTER, PAGES_BEFORE, Facts
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, entry, open_console
from tests.tui.jobs import child
from tui.console.parts.target_actions import NO_PAGE_MAP
from tui.console.views.line import Role
from tui.console.views.page_map import maps_of_job, page_map_document
from tui.presentation.page_map import picture, read_times_lines

both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
SIZES = [(76, 22), (116, 38), (20, 5), (196, 58)]
TIMES = ReadTimes(
    name="orders",
    page_size=4096,
    in_key_order=Reading(pages=1_000, seconds=1.2, from_disk=4_000_000),
    in_file_order=Reading(pages=950, seconds=0.095, from_disk=4_100_000),
)


def example(places: int = 4096, *, free: float = 0.25, in_order: float = 0.2) -> PageMap:
    """The first part is free, then two tables and an index lie mixed."""
    chance = random.Random(1)
    owners = [FREE if place < free * places else chance.choice([0, 0, 0, 1, 2, LONG_VALUES]) for place in range(places)]
    names = ("orders", "orders by \x1b[31mday", "customers", *(f"t{number}" for number in range(20)))
    return PageMap(
        pages=places * 10,
        page_size=4096,
        free_pages=int(places * 10 * free),
        owners=tuple(owners),
        fills=tuple(None if owner < 0 else chance.random() for owner in owners),
        in_order=tuple(chance.random() < in_order for _ in owners),
        objects=tuple(
            MappedObject(
                name=name,
                is_index=number == 1,
                pages=1000 - number,
                jumps=max(int((1 - in_order) * 1000) - number, 0),
            )
            for number, name in enumerate(names)
        ),
    )


MAPS: Facts = {PAGES_BEFORE: packed(example(1024)), PAGES_AFTER: packed(example(768, free=0, in_order=1))}


def test_it_says_how_many_pages_a_sign_stands_for_and_what_it_shows() -> None:
    text = "\n".join(one.text for one in page_map_document(example(), 76, 22))
    rows = [one for one in text.splitlines() if one and set(one.rstrip()) <= set("░▒▓█-+x#·~")]
    assert f"Each sign: about {round(40_960 / (76 * len(rows)))} pages, row by row in file order" in text
    assert "it shows how full." in text
    assert "here █▓▒░ #x+- are in order to scattered" in text
    small = replace(example(50), pages=50)
    assert "Each sign: a page, " in "\n".join(one.text for one in page_map_document(small, 76, 22))


async def add_vacuum(seeded: Seeded) -> None:
    """A job that has moved the pages of its file."""
    (job,) = await seeded.store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await seeded.store.claim(seeded.owner, [job])
    assert claim is not None
    outcome = Outcome(status=Status.COMPLETED, before={"size": 42_000_000}, after={"size": 31_500_000, **MAPS})
    await seeded.store.finish(claim, outcome, Report())


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_map_fits_into_the_window(width: int, height: int) -> None:
    document = page_map_document(example(), width, height)
    measured = page_map_document(example(), width, height, read_times_lines(TIMES))
    assert max(cell_len(one.text) for one in document) <= max(width, 32)
    if height >= 22:
        assert max(len(document), len(measured)) <= height
        assert measured[: len(document) - 2] == document[:-2]  # the map does not shrink
    assert all(one.text.isprintable() for one in document)


def test_it_shows_what_is_free_what_lies_where_and_in_what_order() -> None:
    text = [one.text.rstrip() for one in page_map_document(example(), 76, 22)]
    assert text[0].startswith("168 MB in 40,960 pages, 25% free; pages of rows and entries are")
    few = page_map_document(replace(example(), free_pages=400), 76, 22)
    assert few[0].text.startswith("168 MB in 40,960 pages, <1% free; ")
    picture = [one for one in text if set(one) <= set("░▒▓█-+x#·~") and one]
    assert len(picture) >= 5
    assert set(picture[0]) == {"·"}
    assert "·" not in picture[-1]
    assert any(one.startswith("█ orders ") and "4.10 MB   80%" in one for one in text)
    assert any(one.startswith(r"# orders by \x1b[31m") for one in text)
    assert "and 20 smaller ones" in text
    assert "800 of 1,000 pages of orders do not follow" in " ".join(text)


def test_no_two_kinds_of_pages_have_a_sign_in_common() -> None:
    signs = list[str]()
    for owner in (0, 1, LONG_VALUES, FREE, UNSEEN, INTERNAL, DAMAGED):
        fills = tuple(None if owner < 0 else place / 100 for place in range(100))
        (row,) = picture(replace(example(100), owners=(owner,) * 100, fills=fills), 100, 1)
        signs.append("".join(dict.fromkeys("".join(text for text, _ in row))))
    assert signs == ["░▒▓█", "-+x#", "~", "·", "?", "=", "!"]


def test_a_damaged_page_is_seen_however_many_pages_a_sign_stands_for() -> None:
    found = example()
    owners = (*found.owners[:2_000], DAMAGED, *found.owners[2_001:])
    lines = page_map_document(replace(found, owners=owners), 90, 30)
    signs = [(text, role) for one in lines for text, role in one.spans if set(text) == {"!"}]
    assert signs == [("!", Role.FAILED)]
    text = "\n".join(one.text for one in lines)
    assert "! damaged" in text
    assert "1 page of the 4,096 shown cannot be read as rows or entries: check the database." in text
    assert "! damaged" not in "\n".join(one.text for one in page_map_document(found, 90, 30))


def test_the_pages_that_the_last_check_names_are_told_by_their_numbers() -> None:
    found = example()
    marked = with_named(found, [1234, found.pages + 1])
    text = "\n".join(one.text for one in page_map_document(marked, 90, 30))
    assert "The last check found page 1234 damaged." in text
    assert "cannot be read" not in text
    assert marked.owners.count(DAMAGED) == 1


@pytest.mark.parametrize("owner", [INTERNAL, UNSEEN])
def test_the_legend_has_what_the_map_has(owner: int) -> None:
    words = {INTERNAL: "= pointer map", UNSEEN: "? not seen"}
    found = replace(example(), owners=(owner, *example().owners[1:]))
    text = "\n".join(one.text for one in page_map_document(found, 90, 30))
    assert [word for word in words.values() if word in text] == [words[owner]]


def test_scattered_order_has_another_sign_than_order() -> None:
    def strip(in_order: float) -> str:
        (row,) = (
            one for one in page_map_document(example(in_order=in_order), 76, 22) if one.text.startswith("█ orders ")
        )
        return row.spans[-1][0].strip()

    assert set(strip(1.0)) == {"█"}
    assert set(strip(0.0)) == {"░"}
    assert "▒" in strip(0.4)


def test_what_was_not_looked_at_is_shown_as_that() -> None:
    found = replace(example(9), owners=(UNSEEN,) * 9, fills=(None,) * 9, objects=())
    text = [one.text for one in page_map_document(found, 90, 22)]
    assert "?????????" in text
    assert any("? not seen" in one for one in text)


@pytest.mark.parametrize("width", [20, 59, 60, 76, 116])
def test_the_maps_of_a_job_fit_into_its_page(width: int) -> None:
    lines = maps_of_job(vacuum(MAPS), width)
    assert max(cell_len(one.text) for one in lines) <= max(width, 48)
    assert all(one.text.isprintable() for one in lines)
    text = "\n".join(one.text for one in lines)
    assert ("before 41.9 MB, 25% free, 51% full" in text) is (width >= 59)
    assert "out of order:  80% -> 0%" in text


def test_a_job_without_maps_shows_none_and_says_why() -> None:
    assert maps_of_job(vacuum({"size": 7}), 76) == []
    (said,) = maps_of_job(vacuum({NOT_MAPPED: NotMapped.SLOW.value}), 76)
    assert said.text.strip() == "No page map: it would have taken longer than half a second."


def vacuum(after: Facts) -> ChildJob:
    return replace(child(), after=after)


@both_sizes
async def test_job_with_maps(
    size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    await add_vacuum(seeded)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("3", "enter", "G")
        assert console.screen_name == "JobScreen"
        assert looks_right(console.app)


@pytest.mark.parametrize("keys", [("3", "enter", "G"), ("1", "M")], ids=["job", "target"])
async def test_maps_without_colours(
    keys: tuple[str, ...],
    sales: Path,
    seeded: Seeded,
    clock: Clock,
    looks_right: Callable[[App[None]], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def page_map(engine: Engine, target: str) -> PageMap:
        return example()

    monkeypatch.setattr(Engine, "page_map", page_map)
    monkeypatch.setenv("NO_COLOR", "1")
    await add_vacuum(seeded)
    async with open_console(seeded.path, entry(), clock=clock, theme=None) as console:
        await console.press(*keys)
        assert looks_right(console.app)


@both_sizes
@pytest.mark.parametrize("measured", [False, True], ids=["map", "measured"])
async def test_page_map(
    size: tuple[int, int],
    sales: Path,
    seeded: Seeded,
    clock: Clock,
    looks_right: Callable[[App[None]], bool],
    monkeypatch: pytest.MonkeyPatch,
    *,
    measured: bool,
) -> None:
    async def page_map(engine: Engine, target: str) -> PageMap:
        return example()

    async def read_times(engine: Engine, target: str) -> ReadTimes:
        return TIMES

    monkeypatch.setattr(Engine, "page_map", page_map)
    monkeypatch.setattr(Engine, "read_times", read_times)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("1", "M", *(["x"] if measured else []))
        assert console.screen_name == "PageMapScreen"
        assert looks_right(console.app)


@pytest.mark.parametrize(
    "keys",
    [("M",), ("1", "M"), ("3", "M"), ("4", "M"), ("colon", *"map", "enter")],
    ids=["operations", "targets", "jobs", "detail", "command"],
)
async def test_a_key_shows_what_the_file_of_the_target_holds_from_every_pane(
    keys: tuple[str, ...], sales: Path, seeded: Seeded, clock: Clock
) -> None:
    async with open_console(seeded.path, entry(), clock=clock, size=(120, 40)) as console:
        await console.until(lambda: "M map" in console.text("#footer"))
        await console.press(*keys)
        await console.until(lambda: any(" pages, " in text for text in console.lines("#page")))


async def test_of_what_is_no_file_that_can_be_opened_it_says_so(seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry("missing.db"), clock=clock) as console:
        await console.press("M")
        assert (console.screen_name, console.message) == ("MainScreen", NO_PAGE_MAP)


async def test_a_second_press_stops_the_measurement(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = asyncio.Event()

    async def read_times(engine: Engine, target: str) -> ReadTimes:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return TIMES

    monkeypatch.setattr(Engine, "read_times", read_times)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("1", "M")
        await console.until(lambda: any(" pages, " in text for text in console.lines("#page")))
        await console.pilot.press("x")
        await console.until(lambda: any("Measuring" in text for text in console.lines("#page")), settled=False)
        await console.press("x")
        assert stopped.is_set()
        assert not any("Measuring" in text for text in console.lines("#page"))


def test_damage_on_record_stands_in_the_map_though_no_page_shows_it() -> None:
    known = Damage(source=DamageSource.CHECK, found_at=0, text="rows are missing from index i")
    text = "\n".join(one.text for one in page_map_document(replace(example(), known_damage=(known,)), 76, 22))
    assert known.text in text
    assert "All tables and indexes" not in text
