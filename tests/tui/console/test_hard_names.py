"""Long names, and names whose characters are no cell wide or two, in each list: no column moves, and the end of a name,
which tells it from others, remains."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from rich.cells import cell_len

from engine import Operation
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, entry, open_console
from tui.console.views.line import named, shortened_name
from tui.console.widgets.line_view import LineView

BEGINNINGS = ("customer_" * 21, "顧客の売上データ" * 7, "e\u0301a\u0308" * 25, "לקוחות" * 12, "👍🏽❤️🇩🇪" * 7, "क्षि" * 12)
NAMES = [f"{beginning}-{number}.db" for beginning in BEGINNINGS for number in (1, 2)]


def cells_before(word: str, console: Console, selector: str) -> list[int]:
    """Where the word stands in each row of a target, in cells; each row fits, and ends as its name does."""
    (view,) = console.app.screen.query(selector).results(LineView)
    rows = [line for line in console.lines(selector) if "1.db" in line or "2.db" in line]
    assert all(cell_len(row) <= view.scrollable_content_region.width for row in rows)
    assert sorted(row.partition(".db")[0][-1] for row in rows) == sorted("12" * len(BEGINNINGS))
    return [cell_len(row.partition(word)[0]) for row in rows]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_no_name_moves_a_column_or_loses_its_end(size: tuple[int, int], seeded: Seeded, clock: Clock) -> None:
    for name in NAMES:
        with closing(sqlite3.connect(name, isolation_level=None)) as db:
            db.execute("CREATE TABLE a(b)")
    targets = [entry(name, operations=(Operation.VACUUM,), label="PROD" if "1" in name else None) for name in NAMES]
    async with open_console(seeded.path, *targets, clock=clock, size=size) as console:
        assert console.screen_name == "FleetScreen"
        assert len(set(cells_before(" unchecked", console, "#fleet"))) == 1
        await console.press("asterisk", "r")
        await console.until(lambda: not console.app.screen.progress)  # type: ignore[attr-defined]
        assert len(set(cells_before("  vacuum", console, "#page"))) == 1
        await console.press("enter", *"PROD", "enter")
        assert console.screen_name == "MainScreen"
        cells_before(".db", console, "#targets")
        await console.press("h")
        await console.until(lambda: not any("…  " in line for line in console.lines("#history")))
        await console.press("right")
        assert len(set(cells_before(" waiting", console, "#history"))) == 1


@pytest.mark.parametrize("width", [*range(2, 45), 300])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_cut_in_its_middle(name: str, width: int) -> None:
    shown = shortened_name(name, width)
    assert cell_len(shown) <= width
    assert shown == name or "…" in shown
    assert width < 12 or shown.endswith(name[-5:])
    assert not shown.partition("…")[2][:1] or cell_len(shown.partition("…")[2][0])
    assert "".join(text for text, _ in named(name, width)) == shown
