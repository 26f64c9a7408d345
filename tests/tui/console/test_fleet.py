"""The fleet screen: all targets by level, filtered, marked, and run in one go."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from textual.app import App

from engine import Engine, Status
from engine.config.model import TargetEntry
from engine.domain.errors import StoreError
from engine.domain.surveys import FleetLevel, Survey
from engine.fleet import surveyor
from engine.inspection import inspector
from tests.tui.console.harness import Clock, Console, entry, open_console
from tui.console.parts import retry
from tui.console.parts.target_surveys import TargetSurveys
from tui.console.screens.fleet import FleetScreen
from tui.console.screens.main import MainScreen
from tui.console.views.fleet import fleet_row
from tui.console.views.line import Line
from tui.console.views.target_order import Sort
from tui.console.widgets import fleet_list, target_list
from tui.presentation.text import local_time

STORE = Path("jobs.db")


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine has as much time for a survey as another one."""
    monkeypatch.setattr(surveyor, "TIME_LIMIT", 60.0)


def make_tenant(path: Path, *, rows: int, kept: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA page_size = 4096")
        db.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO orders(note) VALUES (?)", ((f"{n:05} " + "x" * 4000,) for n in range(rows)))
        db.execute("DELETE FROM orders WHERE id > ?", (kept,))
        db.execute("COMMIT")


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with twelve tenants: t2 has most to win, t11 is no longer there, t12 is no database any more."""
    directory = tmp_path_factory.mktemp("tenants")
    for n in (*range(1, 11), 12):
        path = directory / f"t{n}.db"
        if n == 12:
            path.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
        else:
            make_tenant(path, rows=12_000 if n in {2, 3} else 40, kept=100 if n == 2 else 5_000 if n == 3 else 40)
    return directory


@pytest.fixture
def fleet(tenants: Path, tmp_path: Path) -> list[TargetEntry]:
    shutil.copytree(tenants, tmp_path, dirs_exist_ok=True)
    return [TargetEntry(name=f"t{n}", url=f"t{n}.db", groups=("eu",) if n % 2 else ("us",)) for n in range(1, 13)]


def rows(console: Console) -> list[str]:
    return console.lines("#fleet")


def names(console: Console) -> list[str]:
    return [row.split()[0].removeprefix("●") for row in rows(console)]


def drawn(console: Console) -> list[str]:
    """The rows of targets on the screen."""
    return [strip.text for strip in console.app.screen._compositor.render_strips() if "gone-" in strip.text]


async def test_rows_that_come_back_into_view_have_the_columns_of_the_others(sales: Path, clock: Clock) -> None:
    targets = [entry(f"gone-{n}.db") for n in range(60)]
    async with open_console(STORE, *targets, clock=clock, size=(120, 40)) as console:
        await console.until(lambda: "60 unreachable" in console.text("#header"))
        before = drawn(console)
        assert len(before) == 35
        for size in ((80, 24), (120, 40), (80, 24), (120, 40)):
            await console.pilot.resize_terminal(*size)
            await console.until(lambda: len(drawn(console)) == size[1] - 5)  # noqa: B023 - over before the next
        assert drawn(console) == before


async def test_it_opens_first_where_there_are_many(fleet: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *fleet, clock=clock) as console:
        assert console.screen_name == "FleetScreen"
        assert console.text("#header").startswith("Fleet  12 targets: 1 critical, 2 soon, 8 unchecked, 1 unreachable")
        assert names(console)[:4] == ["t12", "t11", "t2", "t3"]
        assert "48.9 MB in free pages" in rows(console)[2]
        assert "no such file" in rows(console)[1]


async def test_it_is_opened_by_its_key_where_there_are_few(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        assert console.screen_name == "MainScreen"
        await console.press("f")
        assert console.screen_name == "FleetScreen"
        await console.press("q")
        assert console.screen_name == "MainScreen"


async def test_targets_whose_surveys_cannot_be_read_are_not_called_unsurveyed(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(engine: Engine, urls: Iterable[str]) -> dict[str, Survey]:
        raise StoreError("store", "cannot be read")

    monkeypatch.setattr(Engine, "surveys", unreadable)
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.press("f")
        assert "cannot be read" in console.message
        assert console.text("#header") == "Fleet  1 target"


async def test_what_was_locked_is_surveyed_again_until_it_is_free(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "RETRY_AFTER", 0.2)
    async with open_console(STORE, entry(), clock=clock, size=(120, 40)) as console:
        with closing(sqlite3.connect(sales, isolation_level=None)) as application:
            application.execute("BEGIN EXCLUSIVE")
            await console.press("f")
            await console.until(lambda: "unknown" in rows(console)[0])
        await console.until(lambda: "unchecked" in rows(console)[0])


async def test_a_known_database_in_whose_place_a_directory_is_stays_critical(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock, size=(120, 40)) as console:
        await console.press("f")
        await console.until(lambda: "unchecked" in rows(console)[0])
    sales.unlink()
    sales.mkdir()
    for keys in (("f",), ("f", "x")):
        async with open_console(STORE, entry(), clock=clock, size=(120, 40)) as console:
            await console.until(lambda: "no database" in console.lines("#targets")[0])
            await console.press(*keys)
            await console.until(lambda: "critical" in rows(console)[0] and "a directory" in rows(console)[0])


async def test_what_is_kept_is_there_at_once_with_its_age(
    fleet: list[TargetEntry], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(STORE, *fleet, clock=clock):
        pass
    at = datetime.fromtimestamp(clock.now / 1e6, UTC).strftime("%m-%d %H:%M")
    clock.forward(86_400)
    never = asyncio.Event()

    async def hangs(*_: object, **__: object) -> None:
        await never.wait()

    monkeypatch.setattr(inspector, "inspect_and_advise", hangs)
    async with open_console(STORE, *fleet, clock=clock, size=(120, 40), settled=False) as console:
        await console.until(lambda: console.screen_name == "FleetScreen" and "t12" in names(console), settled=False)
        await console.until(lambda: names(console)[:4] == ["t12", "t11", "t2", "t3"], settled=False)
        assert "surveying 0%" in console.text("#header")
        assert console.text("#header").startswith("Fleet  12 targets: 1 critical, 2 soon")
        screen = console.app.screen
        assert isinstance(screen, FleetScreen)
        surveys = [state.survey for state in screen.targets.model.states.values()]
        assert {local_time(one.surveyed_at)[5:16] for one in surveys if one is not None} == {at}


async def test_what_an_error_of_the_store_left_out_is_surveyed_the_next_time(
    fleet: list[TargetEntry], clock: Clock
) -> None:
    def rename(table: str, name: str) -> None:
        with closing(sqlite3.connect(STORE, isolation_level=None)) as store:
            store.execute(f"ALTER TABLE {table} RENAME TO {name}")

    async with open_console(STORE, *fleet[:3], clock=clock) as console:
        main = console.app.screen_stack[0]
        assert isinstance(main, MainScreen)
        states = main.model.states
        rename("survey", "elsewhere")
        await console.press("f")
        assert "survey" in console.message or "store" in console.message
        assert [state.survey for state in states.values()] == [None] * 3
        rename("elsewhere", "survey")
        main.surveys.survey([next(iter(states))])
        await console.until(lambda: all(state.survey for state in states.values()))


async def test_the_sort_goes_in_a_circle_and_names_are_in_natural_order(fleet: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *fleet, clock=clock) as console:
        titles = []
        for _ in Sort:
            titles.append(str(console.app.screen.query_one("#fleet").border_title))
            if "name" in titles[-1]:
                assert names(console) == [f"t{n}" for n in range(1, 13)]
            await console.press("s")
        gain = titles[0].partition(", ")[2]
        assert gain.endswith(" MB reclaimable")
        assert titles == [f"12 targets by {sort}, {gain}" for sort in Sort]
        assert names(console)[:3] == ["t12", "t11", "t2"]


async def test_a_filter_is_what_is_marked_by_one_key(fleet: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *fleet, clock=clock) as console:
        await console.press("slash", *"level:soon @us", "enter")
        assert names(console) == ["t2"]
        await console.press("asterisk")
        assert rows(console)[0].startswith("●t2")
        await console.press("escape")
        assert [row.split()[0] for row in rows(console) if row.startswith("●")] == ["●t2"]
        assert len(rows(console)) == 12
        await console.press("p")
        assert console.screen_name == "PlansScreen"
        assert "run this plan" not in console.text("#footer")
        await console.press("escape", "escape")
        assert console.message == "1 target marked. esc once more removes the marks."
        await console.press("down", "escape")
        assert any(row.startswith("●") for row in rows(console))
        await console.press("escape")
        assert not any(row.startswith("●") for row in rows(console))
        assert console.message == "1 target unmarked."


async def test_a_wrong_filter_says_so_and_keeps_the_list(fleet: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *fleet, clock=clock) as console:
        await console.press("slash", *"@us ")
        assert len(rows(console)) == 6
        await console.press(*"level:bad", "enter")
        assert console.app.screen.query("#typed")
        assert "level:bad is no level" in console.message.replace(": is", " is")
        assert len(rows(console)) == 6


async def test_a_mark_moves_on_and_marks_are_kept_by_a_sort(fleet: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *fleet, clock=clock) as console:
        await console.press("space", "space", "s", "s", "s", "s", "s")
        assert [row.split()[0] for row in rows(console) if row.startswith("●")] == ["●t11", "●t12"]


async def test_a_target_is_gone_to_by_its_name(fleet: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *fleet, clock=clock) as console:
        await console.press("slash", *"@us", "enter")
        await console.press("colon", *"t1")
        assert [row.split()[0] for row in console.lines("#commands")][:4] == ["t1", "t10", "t11", "t12"]
        await console.press("enter")
        assert console.screen_name == "FleetScreen"
        assert names(console)[console.app.screen.query_one("#fleet", fleet_list.FleetList).cursor] == "t1"
        await console.press("h", "colon", *"t10", "enter")
        assert console.screen_name == "FleetScreen"
        await console.press("enter", "colon", *"t3", "enter")
        assert console.screen_name == "MainScreen"
        assert console.text("#header").startswith("dbtend  t3")


async def test_enter_opens_the_target_on_the_main_screen(fleet: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *fleet, clock=clock) as console:
        await console.press("down", "down", "enter")
        assert console.screen_name == "MainScreen"
        assert console.text("#header").startswith("dbtend  t2")
        assert any("vacuum" in line for line in console.lines("#operations"))
        inspected = [s.entry.name for s in console.app.screen_stack[0].model.states.values() if s.info]  # type: ignore[attr-defined]
        assert inspected == ["t1", "t2"]  # of many only those that were current
        await console.press("escape")
        assert console.screen_name == "FleetScreen"


async def test_what_is_needed_on_all_that_are_marked_is_planned_and_run_as_one_batch(
    fleet: list[TargetEntry], clock: Clock
) -> None:
    async with open_console(STORE, *fleet, clock=clock) as console:
        await console.press("asterisk", "r")
        assert console.screen_name == "PlansScreen"
        page = console.lines("#page")
        assert page[0].startswith("10 targets, ")
        assert "2 unreachable" in page
        assert sum(line.startswith("►") for line in page) == 12
        await console.press("z")
        assert sum(line.startswith("▼") for line in console.lines("#page")) == 12
        await console.press("z", "down", "down", "down", "z")
        assert any(line.startswith("▼ t2 ") for line in console.lines("#page"))
        await console.press("z")
        assert console.lines("#page") == page
        await console.press("enter")
        assert console.screen_name == "MainScreen"
        jobs = await console.engine.history()
        assert len(jobs) == 12
        assert {job.batch for job in jobs} == {1}
        assert {job.target[-6:-3] for job in jobs if job.status is Status.FAILED} == {"t11", "t12"}


async def test_a_job_that_ends_renews_the_survey_of_its_target(fleet: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *fleet, clock=clock, workers=1) as console:
        await console.press("down", "down", "r")
        assert console.screen_name == "PlansScreen"
        clock.forward(60)
        await console.press("enter")
        (job,) = await console.engine.wait([1])
        assert job.status is Status.COMPLETED
        clock.forward(60)
        main = console.app.screen_stack[0]
        assert isinstance(main, MainScreen)

        def level() -> FleetLevel | None:
            (state,) = [state for state in main.model.states.values() if state.entry.name == "t2"]
            return state.survey.level if state.survey is not None else None

        await console.until(lambda: level() is FleetLevel.OK)


all_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=["80x24", "120x40", "200x60"])


@all_sizes
async def test_fleet(
    size: tuple[int, int], fleet: list[TargetEntry], clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    async with open_console(STORE, *fleet, clock=clock, size=size) as console:
        await console.press("down", "space")
        assert looks_right(console.app)


@all_sizes
async def test_plans_of_a_fleet(
    size: tuple[int, int], fleet: list[TargetEntry], clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    async with open_console(STORE, *fleet, clock=clock, size=size) as console:
        await console.press("asterisk", "r")
        await console.until(lambda: console.lines("#page")[0].startswith("10 targets, "))
        assert looks_right(console.app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 50), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_main_screen_of_a_fleet(
    size: tuple[int, int], fleet: list[TargetEntry], clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    async with open_console(STORE, *fleet, clock=clock, size=size) as console:
        await console.press("down", "down", "enter")
        assert console.screen_name == "MainScreen"
        await console.press("1")
        await console.until(lambda: any("vacuum" in row for row in console.lines("#operations")))
        assert looks_right(console.app)


async def test_fleet_without_colours(
    fleet: list[TargetEntry], clock: Clock, looks_right: Callable[[App[None]], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_console(STORE, *fleet, clock=clock, theme=None) as console:
        await console.press("space", "slash", *"level:soon,critical")
        assert looks_right(console.app)


async def test_ten_thousand_targets_draw_only_what_is_in_view(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def noted(number: int, *args: object, **named: object) -> Line:
        drawn.append(number)
        return fleet_row(number, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(target_list, "fleet_row", noted)
    monkeypatch.setattr(TargetSurveys, "begin", lambda self: None)
    many = [TargetEntry(name=f"t{n}", url=f"t{n}.db") for n in range(10_000)]
    async with open_console(STORE, *many, clock=clock) as console:
        drawn.clear()
        await console.press("down", "pagedown", "G", "space", "g")
        assert 0 < len(drawn) < 500
        await console.press("asterisk")
        assert str(console.app.screen.query_one("#fleet").border_title).endswith("10,000 marked")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_count_of_thousands_is_whole_in_every_title(
    size: tuple[int, int], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TargetSurveys, "begin", lambda self: None)
    many = [TargetEntry(name=f"t{n}", url=f"t{n}.db") for n in range(3_000)]
    async with open_console(STORE, *many, clock=clock, size=size) as console:
        await console.press("asterisk")
        assert whole_title(console, "#fleet") == "3,000 targets by level, 3,000 marked"
        await console.press("enter", "1")
        assert whole_title(console, "#targets") == "1 Targets 3,000 ●3,000"
        assert whole_title(console, "#operations") == "2 Operations of 3,000"


def whole_title(console: Console, pane: str) -> str:
    """The title of a pane, or as much of it as its border has room for."""
    widget = console.app.screen.query_one(pane)
    return str(widget.border_title)[: widget.outer_size.width - 6]


async def test_the_pane_of_the_main_screen_is_sorted_and_filtered_by_the_same_keys(
    fleet: list[TargetEntry], clock: Clock
) -> None:
    async with open_console(STORE, *fleet[:3], fleet[9], clock=clock, size=(120, 40)) as console:
        assert [row[2:].split()[0] for row in console.lines("#targets")] == ["t1", "t2", "t3", "t10"]
        await console.press("1", "s")
        assert [row[2:].split()[0] for row in console.lines("#targets")][:2] == ["t2", "t3"]
        assert "48.9 MB" in console.lines("#targets")[0]
        await console.press("slash", *"level:unchecked", "enter")
        assert [row[2:].split()[0] for row in console.lines("#targets")] == ["t1", "t10"]
        assert str(console.app.screen.query_one("#targets").border_title) == "1 Targets 2 of 4"
        await console.press("asterisk", "escape", "escape")
        assert len(console.lines("#targets")) == 4
        await console.press("2", "slash")
        assert console.screen_name == "HistoryScreen"


async def test_the_plans_of_five_hundred_that_are_marked_are_only_shown(tenants: Path, clock: Clock) -> None:
    data = (tenants / "t1.db").read_bytes()
    for n in range(500):
        Path(f"m{n}.db").write_bytes(data)
    async with open_console(STORE, *(entry(f"m{n}.db") for n in range(500)), clock=clock) as console:
        await console.press("asterisk", "p")
        await console.until(lambda: not console.app.screen.progress)  # type: ignore[attr-defined]
        assert console.lines("#page")[0].startswith("500 targets, ")
        await console.press("enter")
        assert console.screen_name == "PlansScreen"
        assert await console.engine.count() == 0
        await console.press("escape")
        assert console.screen_name == "FleetScreen"
        assert "500 marked" in str(console.app.screen.query_one("#fleet").border_title)
