"""Numbers in words, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.humanize import memory, parse_bytes, parse_duration, parse_size, span, whole_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("1h30m", 5_400), ("1d", 86_400), ("12w", 7_257_600), ("0s", 0)],
)
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "m", "-5m", "1.5h", "30m1h", "5m5m", "1 h", "９m", "1y", "1h\n", "1234567d"]
)
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="length of time"):
        parse_duration(text)


@given(st.integers(0, 366 * 86_400))
def test_what_is_said_is_read_back(seconds: int) -> None:
    assert parse_duration(span(seconds)) == seconds


def test_lengths_of_time_in_words() -> None:
    assert [span(s) for s in (0, 0.5, 59, 60, 5_400, 90 * 86_400, 86_461)] == [
        "0s", "0s", "59s", "1m", "1h30m", "90d", "1d1m1s",
    ]  # fmt: skip


@given(st.integers(0, 2**40 // 1024))
def test_a_size_of_memory_is_read_back(kilobytes: int) -> None:
    assert parse_size(memory(kilobytes * 1024)) == kilobytes * 1024


def test_sizes_of_memory() -> None:
    assert [memory(size) for size in (0, 1024, 64 * 1024**2, 1024**3, 1024**2 + 1024)] == [
        "0kB", "1kB", "64MB", "1GB", "1025kB",
    ]  # fmt: skip
    assert (parse_size("2 mb"), parse_size("1GB")) == (2 * 1024**2, 1024**3)
    for wrong in ("", "64", "MB", "-1MB", "1.5GB", "1TB", "64MB\n"):
        with pytest.raises(ValueError, match="is no size"):
            parse_size(wrong)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("500", 500), ("16MB", 16_000_000), ("1.5 GB", 1_500_000_000), ("2tb", 2 * 10**12), ("100 kB", 100_000)],
)
def test_sizes_as_they_are_shown(text: str, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize(
    "text", ["", "MB", "-1MB", "1e9", "1 XB", "1MBs", "1.2345MB", "9" * 13, "\N{ARABIC-INDIC DIGIT ONE}MB"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("value", "text"), [(16_000_000, "16 MB"), (1_500_000_000, "1500 MB"), (7, "7 B"), (0, "0 B"), (12_000, "12 kB")]
)
def test_a_size_that_was_chosen_is_not_rounded(value: int, text: str) -> None:
    assert whole_size(value) == text
