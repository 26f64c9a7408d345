"""A run names what it waits for: soon, once, and in full on a narrow terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Progress, Status
from engine.domain.jobs import ParentJob
from engine.domain.steps import WaitsFor
from tests.tui.jobs import SECOND, START, child, parent
from tui.commands import live_lines
from tui.commands.views import LockWaitTimer
from tui.presentation.text import cells

HOLDER = "waiting for its lock: pid 13553 (somebody, postgres, idle in transaction for 2s, from 10.0.0.17)"


def held(phase: str = HOLDER, waits_for: WaitsFor | None = WaitsFor.LOCK, attempt: int = 1) -> ParentJob:
    progress = Progress(phase=phase, waits_for=waits_for, object="public.orders", fraction=0.25)
    return parent(replace(child(1, Status.RUNNING), progress=progress, attempt=attempt))


@pytest.mark.parametrize("waits_for", WaitsFor)
def test_a_wait_that_lasts_is_told_once_in_a_pipe(waits_for: WaitsFor) -> None:
    waits = LockWaitTimer()
    assert list(waits.begun(held(waits_for=waits_for), START)) == []
    assert list(waits.begun(held(waits_for=waits_for), START + SECOND)) == [f"#42.1 sales.db vacuum: {HOLDER}"]
    for seconds in (2, 60, 600):
        assert list(waits.begun(held("now for another", waits_for=waits_for), START + seconds * SECOND)) == []


def test_short_waits_and_their_return_say_nothing() -> None:
    waits, at = LockWaitTimer(), START
    for _ in range(5):
        assert list(waits.begun(held(), at)) == []
        assert list(waits.begun(held("copying", None), at + SECOND)) == []
        at += 2 * SECOND
    assert list(waits.begun(held(), at)) == []
    assert len(list(waits.begun(held(), at + SECOND))) == 1
    assert list(waits.begun(held("copying", None), at + 2 * SECOND)) == []
    assert list(waits.begun(held(), at + 3 * SECOND)) == []
    assert list(waits.begun(held(), at + 5 * SECOND)) == []  # again, but half a minute has not passed


def test_a_wait_is_told_again_after_a_while_and_in_another_attempt() -> None:
    waits = LockWaitTimer()
    for number, at in ((1, START), (1, START + 60 * SECOND), (2, START + 70 * SECOND)):
        assert list(waits.begun(held(attempt=number), at)) == []
        assert len(list(waits.begun(held(attempt=number), at + SECOND))) == 1
        assert list(waits.begun(held("copying", None, attempt=number), at + 2 * SECOND)) == []


def test_who_asks_it_to_stop_does_not_hear_what_it_waits_for() -> None:
    waits = LockWaitTimer()
    asked = parent(replace(held().children[0], cancel_requested_at=START))
    assert [list(waits.begun(asked, START + seconds * SECOND)) for seconds in (0, 1, 2)] == [[], [], []]


@pytest.mark.parametrize("width", [40, 79, 200])
def test_on_a_terminal_it_has_lines_of_its_own(width: int) -> None:
    _, (_, operation), *waits = live_lines.frame([held()], START + SECOND, width)
    assert "25%" in operation
    if width > 40:
        assert "waits  public." in operation
        assert " ".join(text.strip() for _, text in waits) == HOLDER
    assert all(cells(text) <= width for _, text in waits)
    assert len(waits) <= 3
    assert len(live_lines.frame([held("copying", None)], START, width)) == 2


def test_names_from_elsewhere_do_no_harm() -> None:
    *_, (_, wait) = live_lines.frame([held("waiting for its lock: pid 1 (\x1b[2J)")], START, 79)
    assert wait.strip().endswith(": pid 1 (\\x1b[2J)")
