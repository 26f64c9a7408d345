"""What the history looks like with a filter, and the page of a job with its trend and a text that is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.app import App

from engine.domain.claims import Outcome, Report
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import MB, Clock, add_completed_job, add_failed_job, open_console

LooksRight = Callable[[App[None]], bool]
all_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 50)], ids=["80x24", "120x40", "160x50"])
Size = tuple[int, int]


@pytest.mark.parametrize(
    "typed",
    ["target:sales", "target:sales status:faild", "unique status:comp", "op:backup disk full"],
    ids=["found", "error", "unfinished", "nothing"],
)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_history_while_a_filter_is_typed(
    size: Size, typed: str, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    for target in ("sales", "app", "warehouse"):
        await add_failed_job(seeded.store, seeded.owner, clock, target)
        await add_completed_job(seeded.store, seeded.owner, clock, target)
        clock.forward(86_400)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("h", "slash", *("space" if char == " " else char for char in typed))
        assert looks_right(console.app)


async def test_history_with_a_filter_that_is_kept(seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock, "sales")
    await add_completed_job(seeded.store, seeded.owner, clock, "sales")
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h", "slash", *"status:failed", "enter")
        assert looks_right(console.app)


async def vacuum_every_day(seeded: Seeded, clock: Clock, days: int) -> int:
    """The last of so many jobs, which take longer as the database grows; some fail."""
    parent_id = 0
    for day in range(days):
        (parent_id,) = await seeded.store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        claim = await seeded.store.claim(seeded.owner, [parent_id])
        assert claim is not None
        size = (1000 + 40 * day + 300 * (day % 7)) * MB
        clock.forward(size / MB / 50)
        outcome = Outcome(status=Status.COMPLETED, before={"size": size * 1.2}, after={"size": size})
        if day % 11 == 10:
            outcome = Outcome(status=Status.FAILED, error="disk is full")
        await seeded.store.finish(claim, outcome, Report())
        clock.forward(86_400)
    return parent_id


@all_sizes
async def test_trend_of_a_job(size: Size, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await vacuum_every_day(seeded, clock, 45)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("3", "enter")
        assert looks_right(console.app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_a_text_that_is_found(size: Size, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("3", "enter", "slash", *"orders", "enter", "n")
        assert looks_right(console.app)


async def test_a_text_while_it_is_typed_without_colours(
    seeded: Seeded, clock: Clock, looks_right: LooksRight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock, theme=None) as console:
        await console.press("3", "enter", "slash", *"main")
        assert looks_right(console.app)
