"""From when on no child of a request starts any more."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.requests import Options
from engine.domain.time_limits import deadline, is_time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterator

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"  # as POSIX writes it, so that no table of zones is needed on the machine
YEARS_2020_TO_2035 = st.integers(1_577_836_800_000_000, 2_051_222_400_000_000)
MINUTE = 60_000_000
NIGHTS_OF_A_CHANGE = st.one_of(  # in Berlin
    st.integers(1_774_728_000_000_000, 1_774_771_200_000_000), st.integers(1_792_872_000_000_000, 1_792_915_200_000_000)
)
TIMES_OF_DAY = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


@pytest.fixture(params=["UTC0", BERLIN, "EST5EDT,M3.2.0,M11.1.0", "IST-5:30", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"])
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def berlin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", BERLIN)
        time.tzset()
        yield
    time.tzset()


def micros(text: str) -> int:
    """Of an instant that names its offset from UTC, such as `2026-03-29 01:30+01:00`."""
    return round(datetime.fromisoformat(text).timestamp() * 1e6)


def test_r5_without_a_limit_there_is_no_deadline() -> None:
    assert deadline(Options(), 5) is None


@given(st.floats(0.001, 366 * 86400.0), YEARS_2020_TO_2035)
def test_a_time_limit_counts_from_the_submit(seconds: float, at: int) -> None:
    assert deadline(Options(time_limit=seconds), at) == at + round(seconds * 1e6)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("submitted", "until", "expected"),
    [
        ("2026-06-10 22:00+02:00", "06:00", "2026-06-11 06:00+02:00"),  # over midnight
        ("2026-06-10 05:59+02:00", "06:00", "2026-06-10 06:00+02:00"),
        ("2026-06-10 06:00+02:00", "06:00", "2026-06-10 06:00+02:00"),
        ("2026-06-10 06:59+02:00", "6:00", "2026-06-10 06:00+02:00"),  # too late by less than an hour: it has passed
        ("2026-06-10 07:00+02:00", "6:00", "2026-06-11 06:00+02:00"),
        ("2026-06-10 23:59+02:00", "00:00", "2026-06-11 00:00+02:00"),
        ("2026-12-31 23:00+01:00", "01:15", "2027-01-01 01:15+01:00"),
        ("2026-03-28 22:00+01:00", "06:00", "2026-03-29 06:00+02:00"),  # 7 hours: summer time begins
        ("2026-10-24 22:00+02:00", "06:00", "2026-10-25 06:00+01:00"),  # 9 hours: it ends
        ("2026-03-29 01:30+01:00", "02:30", "2026-03-29 03:30+02:00"),  # that time does not exist on this day
        ("2026-03-29 04:30+02:00", "02:30", "2026-03-30 02:30+02:00"),
        ("2026-10-25 01:00+02:00", "02:30", "2026-10-25 02:30+02:00"),  # it comes twice: the first one
        ("2026-10-25 02:45+02:00", "02:30", "2026-10-25 02:30+02:00"),
        (
            "2026-10-25 02:30+01:00",
            "02:30",
            "2026-10-25 02:30+01:00",
        ),  # an hour later, the second
        ("2026-10-25 03:30+01:00", "02:30", "2026-10-26 02:30+01:00"),
    ],
)
def test_until_is_the_next_such_time_on_the_wall_clock(submitted: str, until: str, expected: str) -> None:
    found = deadline(Options(until=until), micros(submitted))
    assert found is not None
    assert found == micros(expected), datetime.fromtimestamp(found / 1e6, UTC)


def wall_clock(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6).strftime("%H:%M")


@pytest.mark.usefixtures("zone")
def test_until_is_the_first_minute_that_shows_it_after_one_hour_before_the_submit() -> None:
    @settings(max_examples=40)
    @given(TIMES_OF_DAY, st.one_of(YEARS_2020_TO_2035, NIGHTS_OF_A_CHANGE))
    def check(until: str, at: int) -> None:
        begin = at - 60 * MINUTE
        next_minute = begin - begin % MINUTE + MINUTE
        expected = next(then for then in count(next_minute, MINUTE) if wall_clock(then) == until)
        found = deadline(Options(until=until), at)
        assert found is not None
        if wall_clock(found) == until:
            assert found == expected
        else:  # on the day when summer time begins that time is left out
            assert begin < found < expected

    check()


@given(TIMES_OF_DAY, st.floats(1, 2 * 86400.0), YEARS_2020_TO_2035)
def test_of_two_limits_the_earlier_one_holds(until: str, seconds: float, at: int) -> None:
    each = [deadline(Options(until=until), at), deadline(Options(time_limit=seconds), at)]
    assert deadline(Options(until=until, time_limit=seconds), at) == min(limit for limit in each if limit is not None)


@given(st.integers(0, 23), st.integers(0, 59))
def test_every_time_of_day_is_one(hour: int, minute: int) -> None:
    assert is_time_of_day(f"{hour:02}:{minute:02}")
    assert is_time_of_day(f"{hour}:{minute:02}")


@pytest.mark.parametrize("text", ["", "24:00", "12:60", "12", "12:5", "-1:00", "12:0x", " 12:00", "١٢:٠٠", "12:00\n"])
def test_what_is_no_time_of_day_is_none(text: str) -> None:
    assert not is_time_of_day(text)
