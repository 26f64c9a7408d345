"""Results that come in quick succession update a screen only now and then, the rarer the longer that takes."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from tui.console.update_pace import SHORTEST, UpdatePace, in_slices


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("takes", "most"), [(0.0, 0.0), (0.01, 0.04), (0.5, 0.1), (2.0, 0.1)])
def test_updates_leave_most_of_the_time_to_keys(takes: float, most: float) -> None:
    clock, updates = Seconds(), []

    def update() -> None:
        updates.append(clock.now)
        clock.now += takes

    pace = UpdatePace(update, clock)
    while clock.now < 600:
        pace.update_if_due()
        clock.now += 0.001
    assert len(updates) * takes <= most * 600 + takes
    assert min(later - one for one, later in pairwise(updates)) >= SHORTEST
    assert len(updates) >= 600 / max(SHORTEST + takes + 0.002, 10 * takes + 0.002) - 1


async def test_work_on_many_things_gives_others_their_turn() -> None:
    turns, ended = 0, asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not ended.is_set():
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    done = 0
    async for _ in in_slices(iter(int, 1)):  # never ends by itself
        done += 1
        if turns > 10:
            break
    ended.set()
    await task
    assert done
