"""Which sessions wait behind a command."""

from __future__ import annotations

import pytest

from engine.targets.mysql.running.monitor import is_behind


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
