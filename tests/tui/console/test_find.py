"""Finding a text in a page: as plain functions, and with keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content

from engine.domain.claims import Report
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.domain.steps import Step
from tests.building import COMPLETED, new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, add_completed_job, entry, open_console
from tui.console.views.find import Match, cut, first_from, format_found, matches, of_line
from tui.console.views.line import Line, Role
from tui.console.widgets.page import Page

LINES = [
    Line((("VACUUM main", Role.SQL), ("  vacuum", Role.DIM))),
    Line(),
    Line((("before va", Role.TEXT), ("cuum, aftervacuum", Role.DIM))),
]


def test_every_place_is_found_in_whatever_case_and_over_the_bounds_of_spans() -> None:
    assert matches(LINES, "vacuum") == [Match(0, 0, 6), Match(0, 13, 19), Match(2, 7, 13), Match(2, 20, 26)]
    assert matches(LINES, "") == []
    assert matches(LINES, "a.") == []  # it is text and no pattern


def test_the_first_from_here_else_the_first_of_all() -> None:
    found = matches(LINES, "vacuum")
    assert [first_from(found, line) for line in (0, 1, 2, 3)] == [0, 2, 2, 0]
    assert [len(of_line(found, line)) for line in (0, 1, 2)] == [2, 0, 2]


def test_a_line_is_cut_where_a_match_begins_or_ends() -> None:
    found = matches(LINES, "vacuum")
    pieces = [(text, role, match and match.start) for text, role, match in cut(LINES[2].spans, of_line(found, 2))]
    assert pieces == [
        ("before ", Role.TEXT, None),
        ("va", Role.TEXT, 7),
        ("cuum", Role.DIM, 7),
        (", after", Role.DIM, None),
        ("vacuum", Role.DIM, 20),
    ]


@given(
    st.lists(st.text(st.sampled_from("aAbİß "), max_size=6), max_size=5), st.text(st.sampled_from("aAbİß"), max_size=3)
)
def test_cutting_loses_nothing(texts: list[str], wanted: str) -> None:
    shown = Line(tuple((text, Role.TEXT) for text in texts))
    pieces = list(cut(shown.spans, matches([shown], wanted)))
    assert "".join(text for text, _, _ in pieces) == shown.text
    for match in matches([shown], wanted):
        assert "".join(text for text, _, of in pieces if of == match) == shown.text[match.start : match.end]


def test_how_many_there_are_in_words() -> None:
    assert format_found(1700, 2, "orders") == "3 of 1,700  orders"
    assert format_found(0, 0, "orders") == "not found: orders"


def page(console: Console) -> Page:
    return console.app.screen.query_one("#page", Page)


def border(console: Console) -> str:
    return Content.from_markup(page(console).border_subtitle or "").plain


def marked(console: Console) -> list[str]:
    """The marked matches, the current one in capitals."""
    view = page(console)
    segments = [segment for y in range(view.size.height) for segment in view.render_line(y)]
    return [
        text.upper() if style.reverse else text.lower()
        for text, style, _ in segments
        if style is not None and (style.reverse or style.underline)
    ]


async def test_find_with_keys_in_a_job(seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock, size=(100, 60)) as console:
        await console.press("3", "enter", "slash", *"analyze")
        assert border(console).endswith("of 4  analyze")
        assert console.text("#footer") == "enter keep  esc clear"
        first = marked(console)
        assert first.count("ANALYZE") == 1
        assert first.count("analyze") == 3
        await console.press("enter")
        assert "n next" in console.text("#footer")
        at = border(console)
        await console.press("n")
        assert border(console) != at
        assert marked(console).count("ANALYZE") == 1
        await console.press("N")
        assert border(console) == at
        await console.press("escape")
        assert (border(console), marked(console), console.screen_name) == ("", [], "JobScreen")
        await console.press("escape")
        assert console.screen_name == "MainScreen"


async def test_what_is_not_there_is_said_and_esc_ends_the_line(seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("3", "enter", "slash", *"[nowhere]")
        assert border(console) == "not found: [nowhere]"
        await console.press("escape")
        assert (border(console), console.screen_name) == ("", "JobScreen")
        assert not console.app.screen.query("#entry")
        await console.press("slash", "n", "enter", "q")
        assert console.screen_name == "MainScreen"


@pytest.mark.parametrize(
    ("keys", "word"),
    [("question_mark", "jobs"), ("p", "vacuum"), ("w", "worker")],
    ids=["help", "plan", "workers"],
)
async def test_every_page_has_it(sales: Path, clock: Clock, keys: str, word: str) -> None:
    async with open_console(Path("jobs.db"), entry(operations=(Operation.VACUUM,)), clock=clock) as console:
        await console.press(keys)
        times = sum(text.lower().count(word) for text in console.lines("#page"))
        assert times
        await console.press("slash", *word, "enter")
        assert border(console) == f"1 of {times}  {word}"
        assert word.upper() in marked(console)
        await console.press("escape", "escape")
        assert console.screen_name == "MainScreen"


async def test_a_page_of_thousands_of_lines_goes_to_the_match_and_back_to_the_first(
    seeded: Seeded, clock: Clock
) -> None:
    (parent_id,) = await seeded.store.submit([new_job("sales", Operation.REINDEX)], OnDuplicate.REFUSE)
    claim = await seeded.store.claim(seeded.owner, [parent_id])
    assert claim is not None
    steps = tuple(
        Step(number=n, attempt=1, object=f"i{n}", command=f'REINDEX main."i{n}"', status=Status.COMPLETED,
             started_at=clock.now, finished_at=clock.now)
        for n in range(1, 3_001)
    )  # fmt: skip
    await seeded.store.finish(claim, COMPLETED, Report(steps=steps))
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("3", "enter", "z", "slash", *'i2999"', "enter")
        assert border(console) == '1 of 1  i2999"'
        assert any(
            'REINDEX main."i2999"' in page(console).render_line(y).text for y in range(page(console).size.height)
        )
        await console.press("escape", "g", "slash", *"REINDEX main", "enter")
        assert border(console) == "1 of 3,000  REINDEX main"
        await console.press("N")
        assert border(console) == "3,000 of 3,000  REINDEX main"
        assert page(console).scroll_offset.y > 2_900
        await console.press("n")
        assert border(console) == "1 of 3,000  REINDEX main"
        assert page(console).scroll_offset.y < 20
