"""The page map of a SQLite file on the screen, at every size."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.app import App

from engine import Engine
from engine.domain.page_map import FREE, LONG_VALUES, UNSEEN, MappedObject, PageMap, ReadingTimes
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, entry, open_console
from tui.console.views.page_map import page_map_document

both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
SIZES = [(76, 22), (116, 38), (20, 5), (196, 58)]


def example(places: int = 4096) -> PageMap:
    """The first quarter is free, then two tables and an index lie mixed."""
    chance = random.Random(1)
    owners = [FREE if place < places // 4 else chance.choice([0, 0, 0, 1, 2, LONG_VALUES]) for place in range(places)]
    fills = [None if owner < 0 else chance.random() for owner in owners]
    names = ("orders", "orders by \x1b[31mday", "customers", *(f"t{number}" for number in range(20)))
    objects = [
        MappedObject(name=name, is_index=number == 1, pages=1000 - number, jumps=900 - number)
        for number, name in enumerate(names)
    ]
    reading = ReadingTimes(name="orders", pages=100, by_key=0.0123, by_place=0.0004)
    return PageMap(
        pages=places * 10,
        page_size=4096,
        free_pages=places * 10 // 4,
        owners=tuple(owners),
        fills=tuple(fills),
        objects=tuple(objects),
        reading=reading,
    )


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_map_fits_into_the_window(width: int, height: int) -> None:
    document = page_map_document(example(), width, height)
    assert max(cell_len(one.text) for one in document) <= max(width, 80 if width < 76 else width)
    if height >= 22:
        assert len(document) <= height
    assert all(one.text.isprintable() for one in document)


def test_it_says_what_is_free_what_lies_where_and_what_scattered_order_costs() -> None:
    text = [one.text.rstrip() for one in page_map_document(example(), 76, 22)]
    assert text[0].startswith("168 MB in 40,960 pages, 25% of them free; the pages of rows and entries are")
    picture = [one for one in text if set(one) <= set("░▒▓█·=") and one]
    assert len(picture) >= 6
    assert set(picture[0]) == {"·"}
    assert "·" not in picture[-1]
    assert any(one.startswith("orders ") and "4.10 MB" in one for one in text)
    assert "and 20 smaller ones" in text
    said = " ".join(text)
    assert "900 of 1,000 pages of orders do not follow the one before them in order." in said
    assert "Reading 100 pages took 12.3 ms in that order, and 0.4 ms in the order of the file" in said


def test_what_was_not_looked_at_is_shown_as_that() -> None:
    found = PageMap(
        pages=9, page_size=512, free_pages=0, owners=(UNSEEN,) * 9, fills=(None,) * 9, objects=(), reading=None
    )
    text = [one.text for one in page_map_document(found, 76, 22)]
    assert "?????????" in text
    assert any("There was no time" in one for one in text)


@both_sizes
async def test_page_map(
    size: tuple[int, int],
    sales: Path,
    seeded: Seeded,
    clock: Clock,
    looks_right: Callable[[App[None]], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def page_map(engine: Engine, target: str) -> PageMap:
        return example()

    monkeypatch.setattr(Engine, "page_map", page_map)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("1", "M")
        assert console.screen_name == "PageMapScreen"
        assert looks_right(console.app)


async def test_a_key_on_a_target_shows_what_its_file_holds(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("1", "M")
        await console.until(lambda: any(" pages, " in text for text in console.lines("#page")))
        await console.press("escape", "2", "M")
        assert console.screen_name == "MainScreen"
