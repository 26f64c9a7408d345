"""Schedules as text: times in the zone of this machine, with what makes them plain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine.domain.schedules import Firing, FiringReason, FiringStatus, Night, Schedule, ScheduleState
from tests.engine.domain.test_due_times import at
from tui.presentation.schedule_format import (
    ScheduleRow,
    closing_text,
    details,
    due_text,
    foreign_text,
    local,
    local_short,
    result_text,
)

NOON = at("2026-11-27T12:00")


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def schedule(start: str = "0 22 * * *", timezone: str = "", until: str | None = "05:00") -> Schedule:
    return Schedule(name="nightly", targets=("a",), start=start, timezone=timezone, until=until)


def row(one: Schedule) -> ScheduleRow:
    return ScheduleRow(schedule=one, state=None)


@pytest.mark.parametrize("zone", ["", "Europe/Berlin", "Europe/Madrid"])
def test_where_the_zone_has_the_same_time_it_is_not_named(zone: str) -> None:
    assert due_text(row(schedule(timezone=zone)), NOON) == "today 22:00"
    assert closing_text(schedule(timezone=zone), NOON) == "until 05:00"


def test_another_zone_is_told_in_the_time_of_this_machine_with_its_zone() -> None:
    tokyo = schedule(timezone="Asia/Tokyo")
    assert due_text(row(tokyo), NOON) == "today 14:00 CET"
    assert closing_text(tokyo, NOON) == "until 21:00 CET"
    assert local_short(NOON, tokyo, now=NOON) == "Fri 12:00 CET"
    told = dict(details(row(tokyo)))
    assert told["start"] == "0 22 * * *  Asia/Tokyo"
    assert told["window"] == "until 05:00  Asia/Tokyo"


def test_another_year_is_told() -> None:
    assert due_text(row(schedule("0 0 29 2 *")), NOON) == "Tue 29 Feb 2028 00:00"
    assert due_text(row(schedule("0 1 1 12 *")), NOON) == "Tue 1 Dec 01:00"
    assert local(at("2025-12-31T23:30"), schedule(), now=NOON) == "Wed 31 Dec 2025 23:30"
    assert local_short(at("2025-12-31T23:30"), schedule(), now=NOON) == "31 Dec 2025"


def test_of_another_host_a_schedule_of_the_same_name_may_be_meant() -> None:
    state = ScheduleState(name="nightly", start="0 1 * * *", config="db1:/etc/dbtend.toml", since=0)
    of_host = replace(row(schedule()), state=state, config="db2:/etc/dbtend.toml")
    assert foreign_text(of_host).endswith(
        "is in db1:/etc/dbtend.toml, too, which fires it: a worker here takes over if none is there"
    )
    assert foreign_text(replace(of_host, config="db1:/srv/dbtend.toml")).endswith("which fires it: rename one")


@pytest.mark.parametrize(("jobs", "text"), [(0, "nothing was needed"), (3, "its jobs were removed")])
def test_a_night_without_jobs_that_a_person_started_says_whether_it_had_any(jobs: int, text: str) -> None:
    firing = Firing(
        schedule="nightly", due_at=0, recorded_at=0, status=FiringStatus.FIRED, reason=FiringReason.BY_HAND, jobs=jobs
    )
    assert result_text(Night(firing=firing)) == text
