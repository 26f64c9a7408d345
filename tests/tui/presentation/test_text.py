"""Values as they read on a screen."""

from __future__ import annotations

import time

import pytest

from engine import CheckLevel, OnFailure, Options, ServerOptions
from tui.presentation.text import (
    cells,
    counted,
    format_options,
    padded,
    percent,
    plain,
    rfc3339,
    shortened,
    size_change,
    target_name,
    time_left,
    zoned_time,
)


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
        (1_000_000, 3_000_000, "1.00 MB -> 3.00 MB, grew by 2.00 MB"),
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
        ("/srv/100%41.db", "100%41.db"),
        ("sqlite:///srv/100%2541.db", "100%41.db"),
        ("postgres://dba@db1:5433/shop?sslmode=require", "shop@db1:5433"),
        ("postgresql://dba@db1:5432/shop", "shop@db1"),
        ("postgresql://dba@:5433/shop?host=/run/postgresql", "shop:5433"),
        ("postgresql://dba@db1:x/shop", "postgresql"),
        ("postgresql:///shop?sslmode=require", "shop"),
        ("sqlite:///srv/evil%1b%5b2J.db", "evil\\x1b[2J.db"),
    ],
)
def test_target_name(url: str, name: str) -> None:
    assert target_name(url) == name


def test_plain_shows_what_a_terminal_would_obey() -> None:
    assert plain("a\x1b[2Jb\nc\u202ed") == "a\\x1b[2Jb\\nc\\u202ed"
    assert plain("ünïcode 売上") == "ünïcode 売上"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "0:01 left"),
        (43.2, "0:44 left"),
        (3599.0, "59:59 left"),
        (3661.0, "1h1m left"),
        (86_399.0, "23h59m left"),
        (9 * 86_400 + 23.9 * 3600, "9d23h left"),
    ],
)
def test_what_is_left_fits_its_place_and_is_never_nothing(seconds: float | None, words: str) -> None:
    assert time_left(seconds) == words
    assert len(words) <= 11


def test_nothing_is_done_before_it_is_done() -> None:
    assert percent(0.999) == "99%"
    assert percent(1.0) == "100%"


def test_options_in_words_say_only_what_was_asked_for() -> None:
    assert format_options(Options()) == ["on failure continue", "lock timeout 5 s"]
    assert format_options(Options(check=CheckLevel.QUICK))[2:] == ["quick check"]
    assert format_options(Options(verify=True, check=CheckLevel.FULL))[2:] == ["verified by full checks"]
    assert format_options(Options(jobs=2, force=True))[2:] == ["2 at once", "forced"]
    server = ServerOptions(max_lag=64 * 1024 * 1024, buffer_usage_limit=2048, yield_after=2.0, truncate=False)
    assert format_options(Options(on_step_failure=OnFailure.STOP, server=server))[2:] == [
        *("stop at the first step that fails", "no truncate", "buffer usage limit 2MB", "max lag 64MB"),
        "yield after 2 s",
    ]


def test_times_and_counts() -> None:
    assert rfc3339(1_700_000_000_123_456) == "2023-11-14T22:13:20.123456Z"
    assert (counted(1, "step"), counted(2, "index"), counted(2_000, "step")) == ("1 step", "2 indexes", "2,000 steps")


def test_a_url_that_is_none_has_a_name_all_the_same() -> None:
    assert target_name("postgresql://[") == "postgresql"


def test_a_name_that_is_no_utf_8_is_shown_as_a_path_with_it_is() -> None:
    assert target_name("sqlite:///srv/bad%FF.db") == plain("bad\udcff.db") == "bad\\udcff.db"


def test_a_time_for_a_reader_elsewhere_has_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert [zoned_time(at * 1_000_000) for at in (1_764_000_000, 1_750_000_000)] == [
            "2025-11-24 17:00:00 CET", "2025-06-15 17:06:40 CEST",
        ]  # fmt: skip
    finally:
        monkeypatch.undo()
        time.tzset()
