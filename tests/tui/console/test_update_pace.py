"""Results that come in quick succession update a screen only now and then, the rarer the longer that takes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tui.console.update_pace import SHORTEST, UpdatePace


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
