"""What ends a wait early."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.domain.time_limits import Window
from engine.targets import limits as limits_module
from engine.targets.limits import Limits, NotBegunError
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import PlannedStep

FOR_EVER = 1e6
STEP = PlannedStep(object="a", command="ANALYZE a", reason="", lock=NO_LOCK)
FOLLOW_UP = replace(STEP, mandatory_follow_up=True)
NEEDED = replace(FOLLOW_UP, missing_effect="searches are wrong")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "ENDS_ITSELF_WITHIN", 0.01)
    monkeypatch.setattr(limits_module, "FOLLOW_UP_BEGINS_WITHIN", 0.01)
    monkeypatch.setattr(limits_module, "NEEDED_FOLLOW_UP_BEGINS_WITHIN", 0.01)


def some_limits() -> Limits:
    return Limits(cancel=asyncio.Event(), window=Window())


@pytest.mark.parametrize("ends", ["cancel", "window", "event", "task"])
async def test_r32_a_wait_ends_by_what_comes_first(ends: str) -> None:
    limits, event = some_limits(), asyncio.Event()
    task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(limits.wait(event, task=task, seconds=FOR_EVER))
    await asyncio.sleep(0)
    match ends:
        case "cancel":
            limits.cancel.set()
        case "window":
            limits.window.closed.set()
        case "event":
            event.set()
        case _:
            task.set_result(None)
    await asyncio.wait_for(waiting, 30)
    assert limits.is_ending is (ends in {"cancel", "window"})


async def test_r32_a_wait_ends_when_its_seconds_have_passed() -> None:
    await asyncio.wait_for(some_limits().wait(seconds=0.01), 30)


async def test_r32_a_pause_in_work_ends_by_a_cancel_and_not_at_the_limit() -> None:
    limits = some_limits()
    pausing = asyncio.create_task(limits.pause(FOR_EVER))
    limits.window.closed.set()
    for _ in range(10):  # turns of the event loop: what hears of it does so in a few
        await asyncio.sleep(0)
    assert not pausing.done()
    limits.cancel.set()
    await asyncio.wait_for(pausing, 30)
    await asyncio.wait_for(limits.pause(0.01), 30)  # whoever is still at it after the cancel


async def test_r32_a_cancel_ends_what_runs_before_the_first_step() -> None:
    limits = some_limits()
    preparing = asyncio.create_task(limits.unless_cancelled(asyncio.Event().wait()))
    await asyncio.sleep(0)
    limits.cancel.set()
    with pytest.raises(NotBegunError):
        await asyncio.wait_for(preparing, 30)
    with pytest.raises(NotBegunError):
        await limits.unless_cancelled(asyncio.Event().wait())


@pytest.mark.parametrize("until_closed", [True, False])
async def test_r32_the_end_of_the_window_ends_what_runs_before_the_first_step(until_closed: bool) -> None:
    """But not what puts right what a dead process left."""
    limits, event = some_limits(), asyncio.Event()
    preparing = asyncio.create_task(limits.unless_cancelled(event.wait(), until_closed=until_closed))
    await asyncio.sleep(0)
    limits.window.closed.set()
    if until_closed:
        with pytest.raises(NotBegunError):
            await asyncio.wait_for(preparing, 30)
    else:
        event.set()
        assert await asyncio.wait_for(preparing, 30)


async def test_an_ordinary_step_is_stopped_with_its_attempt() -> None:
    limits = some_limits()
    async with limits.for_step(STEP) as of_step:
        assert of_step is limits


@pytest.mark.parametrize("step", [FOLLOW_UP, NEEDED], ids=["harmless", "needed"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_r32_a_follow_up_stops_waiting_some_time_after_a_cancel(step: PlannedStep, when: str) -> None:
    limits = some_limits()
    if when == "before":
        limits.cancel.set()
    async with limits.for_step(step) as of_step:
        assert not of_step.is_ending
        limits.cancel.set()
        await asyncio.wait_for(of_step.wait(), 30)
    assert of_step.cancel.is_set() is (step is FOLLOW_UP)  # the work of the other one is never stopped


@pytest.mark.parametrize("step", [FOLLOW_UP, NEEDED], ids=["harmless", "needed"])
async def test_r32_a_follow_up_stops_waiting_some_time_after_the_limit_and_what_runs_goes_on(
    step: PlannedStep,
) -> None:
    limits = some_limits()
    limits.window.closed.set()
    async with limits.for_step(step) as of_step:
        await asyncio.wait_for(of_step.wait(), 30)
        assert not of_step.cancel.is_set()
        limits.cancel.set()
        if step is FOLLOW_UP:
            await asyncio.wait_for(of_step.cancel.wait(), 30)
    assert of_step.cancel.is_set() is (step is FOLLOW_UP)
