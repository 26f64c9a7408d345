"""A hint names only a word that was meant."""

from __future__ import annotations

import pytest

from engine.domain.spelling import closest


@pytest.mark.parametrize(
    ("typed", "known", "meant"),
    [
        ("vacum", ["vacuum", "analyze"], "vacuum"),
        ("shpo", ["shop", "crm"], "shop"),
        ("nwo", ["soon", "now"], "now"),
        ("reclaim", ["reclaim_now", "map"], "reclaim_now"),
        ("every", ["verify", "start", "targets"], None),
        ("every", [], None),
    ],
)
def test_a_word_is_close_to_one_that_it_differs_from_by_a_slip(typed: str, known: list[str], meant: str | None) -> None:
    assert closest(typed, known) == meant
