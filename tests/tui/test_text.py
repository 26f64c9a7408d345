"""Values as they read on a screen."""

from __future__ import annotations

import pytest

from tui.text import cells, counted, padded, plain, rfc3339, shortened, size_change, target_name


@pytest.mark.parametrize(
    ("text", "width"),
    [("sales.db", 8), ("", 0), ("ünïcode", 7), ("売上", 4), ("é", 1), ("e\u0301", 1)],
)
def test_cells_are_what_a_terminal_shows(text: str, width: int) -> None:
    assert cells(text) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("sales.db", 8, "sales.db"), ("sales.db", 5, "sale…"), ("売上.db", 4, "売…"), ("abc", 0, ""), ("abc", 1, "…")],
)
def test_shortened_fits_the_width(text: str, width: int, shown: str) -> None:
    assert shortened(text, width) == shown
    assert cells(shown) <= width


def test_padded_has_exactly_the_width() -> None:
    assert padded("売上", 6) == "売上  "
    assert cells(padded("売上売上", 6)) == 6


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (24_100_000, 14_300_000, "24.1 MB -> 14.3 MB, 9.80 MB back"),
        (1_000_000, 3_000_000, "1.00 MB -> 3.00 MB, 2.00 MB more"),
        (14_300_000, 14_300_400, "14.3 MB"),
        (None, 1, ""),
        (1, None, ""),
    ],
)
def test_size_change(before: float | None, after: float | None, shown: str) -> None:
    assert size_change(before, after) == shown


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///srv/sales.db", "sales.db"),
        ("sqlite:///srv/my%20shop%23.db", "my shop#.db"),
        ("/srv/sales.db", "sales.db"),
        ("sqlite:///srv/evil%1b%5b2J.db", "evil\\x1b[2J.db"),
    ],
)
def test_target_name(url: str, name: str) -> None:
    assert target_name(url) == name


def test_plain_shows_what_a_terminal_would_obey() -> None:
    assert plain("a\x1b[2Jb\nc\u202ed") == "a\\x1b[2Jb\\nc\\u202ed"
    assert plain("ünïcode 売上") == "ünïcode 売上"


def test_times_and_counts() -> None:
    assert rfc3339(1_700_000_000_123_456) == "2023-11-14T22:13:20.123456Z"
    assert (counted(1, "step"), counted(2, "index"), counted(2_000, "step")) == ("1 step", "2 indexes", "2,000 steps")
