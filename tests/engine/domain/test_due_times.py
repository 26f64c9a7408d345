"""When a schedule is due: also in the nights in which the clock changes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.due_times import (
    closes_at,
    cron_problem,
    due_times,
    due_until,
    next_due,
    overlaps_itself,
    shortest_window,
    stagger_offset,
    window_after_until,
)
from engine.domain.schedules import Schedule

BERLIN = ZoneInfo("Europe/Berlin")
SECOND = 1_000_000


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()) * SECOND


def schedule(start: str, *, timezone: str = "Europe/Berlin", until: str | None = None, stagger: float = 0) -> Schedule:
    return Schedule(name="nightly", targets=("a",), start=start, timezone=timezone, until=until, stagger=stagger)


def local(due: list[int]) -> list[str]:
    return [datetime.fromtimestamp(one / 1e6, BERLIN).strftime("%m-%d %H:%M %z") for one in due]


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        ("30 2 * * *", "2026-03-28T12:00", ["03-29 03:00 +0200", "03-30 02:30 +0200"]),  # 02:30 is left out
        ("0,30 2 * * *", "2026-03-28T12:00", ["03-29 03:00 +0200", "03-30 02:00 +0200"]),  # both of them are: once
        ("30 2 * * *", "2026-10-24T12:00", ["10-25 02:30 +0200", "10-26 02:30 +0100"]),  # 02:30 comes twice: once
        ("30 * * * *", "2026-10-25T01:45", ["10-25 02:30 +0200", "10-25 02:30 +0100"]),  # every hour is every hour
        ("0 22 * * mon-fri", "2026-11-27T22:00", ["11-30 22:00 +0100", "12-01 22:00 +0100"]),
        ("0 4 L * *", "2026-02-01T00:00", ["02-28 04:00 +0100", "03-31 04:00 +0200"]),
    ],
)
def test_due_times_of_a_time_zone(start: str, after: str, expected: list[str]) -> None:
    assert local(list(islice(due_times(schedule(start), at(after)), 2))) == expected


def test_in_the_hour_that_comes_twice_nothing_is_due_again() -> None:
    again = at("2026-10-25T02:10", fold=1)
    assert local([next_due(schedule("30 2 * * *"), again) or 0]) == ["10-26 02:30 +0100"]


def test_due_times_are_those_after_and_until_and_bounded() -> None:
    minutely, begin = schedule("* * * * *"), at("2026-11-27T22:00")
    assert due_until(minutely, begin, begin + 150 * SECOND, most=9) == [begin + 60 * SECOND, begin + 120 * SECOND]
    assert due_until(minutely, begin + 1, begin + 60 * SECOND, most=9) == [begin + 60 * SECOND]
    assert len(due_until(minutely, begin, begin + 10**15, most=9)) == 9
    assert due_until(minutely, begin, begin + 59 * SECOND, most=9) == []


@given(
    st.sampled_from(["30 2 * * *", "0,30 2 * * *", "*/20 * * * *", "0 */3 * * *", "15 1-3 * * *", "0 0 1 * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", ""]),
    st.integers(at("2026-01-01T00:00"), at("2027-12-31T00:00")),
)
def test_due_times_rise_and_whatever_stands_between_makes_no_difference(start: str, zone: str, after: int) -> None:
    due = list(islice(due_times(schedule(start, timezone=zone), after), 20))
    assert all(earlier < later for earlier, later in pairwise([after, *due]))
    assert [next_due(schedule(start, timezone=zone), one) for one in due[:-1]] == due[1:]


@pytest.mark.parametrize(
    ("until", "due", "closes"),
    [
        ("05:00", "2026-11-27T22:00", "2026-11-28T05:00"),
        ("23:00", "2026-11-27T22:00", "2026-11-27T23:00"),
        ("02:30", "2026-10-24T22:00", "2026-10-25T02:30"),  # the first of the two
        ("22:00", "2026-11-27T22:00", "2026-11-28T22:00"),
    ],
)
def test_a_window_closes_at_a_time_of_day_of_the_zone(until: str, due: str, closes: str) -> None:
    assert closes_at(schedule("0 22 * * *", until=until), at(due)) == at(closes)


def test_a_window_that_would_close_in_the_hour_that_is_left_out_closes_after_it() -> None:
    closes = closes_at(schedule("0 22 * * *", until="02:30"), at("2026-03-28T22:00"))
    assert closes == at("2026-03-29T03:30")


def test_the_zone_of_the_window_is_not_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    assert closes_at(schedule("0 22 * * *", until="05:00"), at("2026-11-27T22:00")) == at("2026-11-28T05:00")
    new_york = schedule("0 22 * * *", timezone="")
    assert next_due(new_york, at("2026-11-27T00:00")) == at("2026-11-26T22:00", ZoneInfo("America/New_York"))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("0 22 * * mon-fri", ""),
        ("*/5 0-6 1,15 jan-mar *", ""),
        ("0 0 29 2 *", ""),
        ("0 22 * *", "has 4 fields, and cron expressions have 5"),
        ("0 0 22 * * *", "has 6 fields, and cron expressions have 5"),
        ("", "has 0 fields, and cron expressions have 5"),
        ("0 25 * * *", "is no cron expression (bad hour)"),
        ("nonsense a b c d", "is no cron expression (bad minute)"),
        ("0 0 31 2 *", "never comes: its months have no such day"),
        ("0 0 30 feb *", "never comes: its months have no such day"),
        ("0 0 * * 0L/2", "is no cron expression (bad day-of-week)"),
        ("0 0 31 2,4,6 */2", "never comes: its months have no such day"),
    ],
)
def test_what_is_wrong_with_a_cron_expression(expression: str, problem: str) -> None:
    assert cron_problem(expression) == problem


def test_a_window_that_closes_when_it_opens() -> None:
    assert shortest_window(schedule("0 22,5 * * *", until="05:00")) == 0
    assert shortest_window(schedule("0 22 * * *", until="22:00")) == 0
    assert shortest_window(schedule("0 22 * * *")) is None
    assert shortest_window(schedule("0 22 * * *", until="05:00")) == 7 * 60
    assert shortest_window(schedule("30 0,4 * * *", until="05:00")) == 30


@pytest.mark.parametrize(
    ("start", "until", "found"),
    [
        ("50,53 20 * * *", "20:51", (23 * 60 + 58, 20 * 60 + 53)),
        ("0 20,6 * * *", "05:00", (23 * 60, 6 * 60)),
        ("50 20 * * *", "20:51", None),
        ("0 22 * * *", "21:00", None),
        ("0 22,2 * * *", "05:00", None),
        ("0 22,2 * * *", None, None),
    ],
)
def test_a_due_time_after_the_end_of_the_window_has_the_next_day_as_its_window(
    start: str, until: str | None, found: tuple[int, int] | None
) -> None:
    assert window_after_until(schedule(start, until=until)) == found


def test_a_window_that_is_open_when_the_next_one_opens() -> None:
    assert overlaps_itself(schedule("0 * * * *", until="05:00"))
    assert not overlaps_itself(schedule("0 22 * * *", until="05:00"))
    assert not overlaps_itself(schedule("* * * * *"))


def test_targets_are_spread_the_same_way_each_time() -> None:
    spread = schedule("0 22 * * *", stagger=1200)
    offsets = [stagger_offset(spread, f"sqlite:///srv/t{n}.db") for n in range(300)]
    assert offsets == [stagger_offset(spread, f"sqlite:///srv/t{n}.db") for n in range(300)]
    assert min(offsets) >= 0
    assert max(offsets) < 1200 * SECOND
    assert all(offset % SECOND == 0 for offset in offsets)
    quarters = [sum(n * 300 * SECOND <= offset < (n + 1) * 300 * SECOND for offset in offsets) for n in range(4)]
    assert min(quarters) > 40
    assert stagger_offset(schedule("0 22 * * *"), "sqlite:///srv/t1.db") == 0


def test_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "Nowhere/AtAll", ":/etc/passwd"):
        monkeypatch.setenv("TZ", name)
        assert next_due(schedule("0 22 * * *", timezone=""), round(datetime.now(UTC).timestamp() * 1e6))
