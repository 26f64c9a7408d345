"""The doctor as a page, and the list of commands, as pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App

from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, entry, open_console
from tui.console.screens.doctor import DoctorScreen, doctor_document
from tui.presentation.health_check import Check, Level

both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])

CHECKS = [
    Check(Level.OK, "dbtend", "0.1.0"),
    Check(Level.OK, "store", "/srv/state/jobs.db: 1,204 jobs, 2 open"),
    Check(Level.WARN, "permissions", "/srv/state is open to others (0755)", "chmod 700 /srv/state"),
    Check(Level.PROBLEM, "a target with a long name", "there is no such file", "check the path"),
]


async def found() -> list[Check]:
    return CHECKS


@pytest.mark.parametrize("width", [58, 76, 116])
def test_every_line_fits(width: int) -> None:
    lines = doctor_document(CHECKS, width)
    assert lines[0].text == "1 problem, 1 warning"
    assert all(len(line.text) <= width for line in lines)


def test_where_nothing_is_wrong_that_is_said() -> None:
    assert doctor_document(CHECKS[:2], 76)[0].text == "No problems found."


@both_sizes
async def test_doctor(
    size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.app.push_screen(DoctorScreen(console.app.context, found))
        await console.settle()
        assert looks_right(console.app)


@both_sizes
async def test_commands(
    size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("colon", *"re")
        assert looks_right(console.app)
