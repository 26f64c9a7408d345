"""What a command does, and which sessions wait behind it."""

from __future__ import annotations

import pytest

from engine.targets.mysql.running.monitor import Watched, is_behind
from engine.targets.mysql.running.progress import Progress, Seen
from tests.engine.targets.mysql.running.test_progress import STEP


@pytest.mark.parametrize(
    ("query", "waits_here", "expected"),
    [
        ("CALL nightly()", True, True),
        ("SELECT * FROM shop.Item", False, True),
        ("ALTER TABLE workshop.parts FORCE", False, False),  # it names the database, shop, by chance
    ],
)
def test_behind_a_command_is_who_waits_with_it_or_names_its_table(
    query: str, *, waits_here: bool, expected: bool
) -> None:
    assert is_behind(query, "item", waits_here=waits_here) is expected


def test_a_command_that_still_waits_for_its_lock_has_not_begun() -> None:
    watched = Watched(step=STEP, progress=Progress(STEP, began=0.0, seconds=None), report=lambda _: None)
    found = []
    for state in ("Waiting for table metadata lock", "Waiting for disk space", "Waiting for table metadata lock"):
        watched.note(Seen(state=state))
        found.append((watched.has_begun, watched.only_waited))
    assert found == [(False, True), (True, False), (True, False)]
