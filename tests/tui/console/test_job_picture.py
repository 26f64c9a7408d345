"""The picture on the page of a job: its cursor, its growth while the job runs, and how it looks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.app import App

from engine.domain.claims import Outcome, Report
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import WAITS, LogLevel, LogLine, Progress, Step, WaitsFor
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import (
    SECOND,
    Clock,
    Console,
    add_checked_job,
    add_completed_job,
    add_running_job,
    open_console,
    worker_process,
)
from tui.console.screens.job import JobPage
from tui.console.widgets.one_line import OneLine

LooksRight = Callable[[App[None]], bool]
SIZES = [(80, 24), (120, 40), (200, 60)]
all_sizes = pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40", "200x60"])


def page(console: Console) -> JobPage:
    return console.app.screen.query_one(JobPage)


def selected(console: Console) -> int | None:
    child = page(console).selected
    return None if child is None else child.ordinal


async def add_eventful_job(seeded: Seeded, clock: Clock) -> int:
    """A VACUUM whose worker died and that then waited for a lock; an ANALYZE of 60 tables; a REINDEX that waits."""
    operations = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.CHECK)
    (parent_id,) = await seeded.store.submit([new_job("sales", *operations)], OnDuplicate.REFUSE)
    clock.forward(5)
    async with worker_process(seeded.store, clock, pid=4709) as owner:
        assert await seeded.store.claim(owner, [parent_id]) is not None
        clock.forward(20)
    await seeded.store.rescue()
    clock.forward(3)
    vacuum = await seeded.store.claim(seeded.owner, [parent_id])
    assert vacuum is not None
    began = clock.now
    clock.forward(40)
    step = Step(
        number=1, attempt=vacuum.attempt, object="main", command="VACUUM", status=Status.COMPLETED, started_at=began,
        finished_at=clock.now, operation=Operation.VACUUM, effect={"waited": 12.0},
    )  # fmt: skip
    sizes = {"size": 24_100_000}, {"size": 14_300_000, "waited": 12.0}
    done = Outcome(status=Status.COMPLETED, before=sizes[0], after=sizes[1])
    analyze = await seeded.store.finish_and_claim(vacuum, done, Report(steps=(step,)), [parent_id])
    assert analyze is not None
    steps = []
    for number in range(1, 61):
        began = clock.now
        clock.forward(number / 60)
        error = "the table is damaged" if number == 30 else None
        steps.append(
            Step(
                number=number, attempt=1, object=f"table_{number}", command=f'ANALYZE main."table_{number}"',
                status=Status.FAILED if error else Status.COMPLETED, started_at=began, finished_at=clock.now,
                error=error, operation=Operation.ANALYZE,
            )
        )  # fmt: skip
    failed = Outcome(
        status=Status.FAILED,
        reason=Reason.OPERATION_ERROR,
        error="table_30: the table is damaged; 1 of 60 steps failed",
    )
    reindex = await seeded.store.finish_and_claim(analyze, failed, Report(steps=tuple(steps)), [parent_id])
    assert reindex is not None
    waiting = Step(
        number=1, attempt=1, object="my-index", command='REINDEX main."my-index"', status=Status.RUNNING,
        started_at=clock.now, operation=Operation.REINDEX, effect={WAITS: [clock.now + 3 * SECOND]},
    )  # fmt: skip
    clock.forward(9)
    progress = Progress(object="my-index", steps_total=1, waits_for=WaitsFor.LOCK, phase="waiting for its lock")
    await seeded.store.report(reindex, Report(progress=progress, steps=(waiting,)))
    return parent_id


@all_sizes
async def test_a_job_with_everything(
    size: tuple[int, int], seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    await add_eventful_job(seeded, clock)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("3", "enter", "up")
        assert looks_right(console.app)


async def test_without_colours(
    seeded: Seeded, clock: Clock, looks_right: LooksRight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await add_eventful_job(seeded, clock)
    async with open_console(seeded.path, clock=clock, theme=None) as console:
        await console.press("3", "enter")
        assert looks_right(console.app)


async def test_the_cursor_moves_over_the_operations_and_then_the_page_scrolls(seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("3", "l", "down", "down", "enter")
        assert (selected(console), page(console).scroll_offset.y) == (2, 0)
        assert any("orders" in line for line in console.lines("#page")[:6])
        await console.press("down", "down", "down")
        assert (selected(console), page(console).scroll_offset.y) == (4, 1)
        await console.press("up", "up", "up", "up")
        assert (selected(console), page(console).scroll_offset.y) == (1, 0)
        await console.press("up", "G", "k")
        assert selected(console) == 1


async def test_enter_leads_to_the_details_of_the_operation(seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("3", "enter", "enter")
        top = console.lines("#page")[page(console).scroll_offset.y]
        assert top.startswith(".1 vacuum  ✓ completed")


async def test_z_shows_the_commands_of_a_check(seeded: Seeded, clock: Clock) -> None:
    await add_checked_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock, size=(120, 40)) as console:
        await console.press("3", "enter")
        assert not any("bt_index_check" in line for line in console.lines("#page"))
        assert " z all " in console.app.screen.query_one("#footer", OneLine).render_line(0).text
        await console.press("z")
        assert sum("bt_index_check" in line for line in console.lines("#page")) == 24
        assert console.message == "Every step and command is shown."  # they may be out of view
        await console.press("z")
        assert console.message == "Steps and commands are shortened again."
        assert not any("bt_index_check" in line for line in console.lines("#page"))


async def test_z_says_that_nothing_is_left_out(seeded: Seeded, clock: Clock) -> None:
    await seeded.store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("3", "enter")
        for _ in range(2):
            await console.press("z")
            assert console.message == "Every step and command is shown."


async def test_z_unfolds_log_lines_on_settings(seeded: Seeded, clock: Clock) -> None:
    (parent_id,) = await seeded.store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await seeded.store.claim(seeded.owner, [parent_id])
    assert claim is not None
    settings = LogLine(
        number=1, attempt=1, at=clock.now, level=LogLevel.INFO, message="mapped into memory", is_settings=True
    )
    await seeded.store.finish(claim, Outcome(status=Status.COMPLETED), Report(log=(settings,)))
    async with open_console(seeded.path, clock=clock, size=(120, 40)) as console:
        await console.press("3", "enter")
        assert "mapped into memory" not in "".join(console.lines("#page"))
        assert "1 log line on settings: z" in console.lines("#page")
        assert " z all " in console.app.screen.query_one("#footer", OneLine).render_line(0).text
        await console.press("z")
        assert "mapped into memory" in "".join(console.lines("#page"))
        await console.press("z")
        assert "mapped into memory" not in "".join(console.lines("#page"))


async def test_a_click_moves_the_cursor(seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("3", "enter")
        at = next(n for n, line in enumerate(console.lines("#page")) if ".3 reindex" in line)
        await console.pilot.click("#page", offset=(20, at + 1))
        await console.settle()
        assert selected(console) == 3


async def test_the_cursor_begins_on_what_runs_and_its_bar_grows(seeded: Seeded, clock: Clock) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("3", "enter")
        assert selected(console) == 2
        (before,) = (line for line in console.lines("#page") if line.startswith("► .2 analyze"))
        scale = console.lines("#page")[1]
        clock.forward(4)
        await console.until(lambda: not any(line == before for line in console.lines("#page")))
        (after,) = (line for line in console.lines("#page") if line.startswith("► .2 analyze"))
        assert after.count("▆") > before.count("▆")
        assert console.lines("#page")[1] == scale
        assert selected(console) == 2
