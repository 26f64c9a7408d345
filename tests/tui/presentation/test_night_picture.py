"""The picture of a night: bars over its window, as planned and as it went."""

from __future__ import annotations

from datetime import UTC
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from engine.domain.jobs import ChildJob, ParentJob
from engine.domain.requests import EngineName, Operation, Request
from engine.domain.statuses import Reason, Status
from engine.schedules.night import PlannedOperation, PlannedTarget, planned_night
from tui.presentation.night_picture import planned_picture, real_picture

MINUTE = 60_000_000
NIGHT = 1_795_730_400 * 1_000_000
"""22:00 in UTC."""
ZONE = ZoneInfo("UTC")


def name(url: str) -> str:
    return PurePosixPath(url).stem


def planned(target: str, *seconds: float | None, starts: int = 0, problem: str = "") -> PlannedTarget:
    return PlannedTarget(
        target=target,
        operations=[PlannedOperation(operation=Operation.VACUUM, seconds=one) for one in seconds],
        starts_at=NIGHT + starts * MINUTE,
        problem=problem,
    )


def job(number: int, begin: int, minutes: int, *, failed: bool = False) -> ParentJob:
    status = Status.FAILED if failed else Status.COMPLETED
    started, ended = NIGHT + begin * MINUTE, NIGHT + (begin + minutes) * MINUTE
    child = ChildJob(
        parent_id=number, ordinal=1, operation=Operation.VACUUM, status=status, attempt=1, started_at=started,
        finished_at=ended, reason=Reason.OPERATION_ERROR if failed else None, error="disk full" if failed else None,
    )  # fmt: skip
    return ParentJob(
        id=number, engine=EngineName.SQLITE, request=Request(target=f"t{number}", operations=(Operation.VACUUM,)),
        status=status, created_at=NIGHT, started_at=started, finished_at=ended, children=(child,),
    )  # fmt: skip


def test_a_night_by_its_estimates() -> None:
    night = planned_night(
        [planned("a", 3600, 3600), planned("b", 1800), planned("c", None, starts=60), planned("d", 9 * 3600),
         planned("e", problem="e: there is no such file")],
        opens_at=NIGHT, closes_at=NIGHT + 7 * 60 * MINUTE, workers=2,
    )  # fmt: skip
    rows = [row.plain for row in planned_picture(night, ZONE, 110, named=name)]
    assert rows[0].split() == ["22:00", "00:00", "02:00", "04:00"]
    assert rows[1].startswith("· a ▄▄▄▄▄▄▄▄")
    assert rows[1].endswith("2h  vacuum, vacuum")
    found = {row.split()[1]: row for row in rows[1:6]}
    assert found["d"].startswith("– d ")
    assert "not begun" in found["d"]
    assert found["e"].startswith("× e ")
    assert "there is no such" in found["e"]
    assert "?" in found["c"]
    assert rows[-1] == "· queued  ▄ by estimate  ? of unknown length"
    assert all(len(row) <= 110 for row in rows)


def test_a_night_as_it_went() -> None:
    jobs = [job(1, 0, 60), job(2, 0, 200, failed=True), job(3, 60, 120)]
    rows = [row.plain for row in real_picture(jobs, NIGHT, NIGHT + 420 * MINUTE, NIGHT, ZONE, 110, named=name)]
    assert [row[:4] for row in rows[1:4]] == ["✓ t1", "× t2", "✓ t3"]
    assert "disk full" in rows[2]
    assert rows[3].split()[2].startswith("·····")
    assert rows[3].split()[2].endswith("▆▆▆▆")
    assert "2:00:00" in rows[3]


def test_of_very_many_those_that_failed_are_drawn() -> None:
    jobs = [job(number, number, 5, failed=number == 90) for number in range(1, 101)]
    rows = [row.plain for row in real_picture(jobs, NIGHT, None, NIGHT, ZONE, 80, named=name, most=3)]
    assert [row.split()[1] for row in rows[1:4]] == ["t1", "t2", "t90"]
    assert rows[4] == "and 97 targets more"


def test_times_of_day_are_those_of_the_zone_of_the_schedule() -> None:
    night = planned_night([planned("a", 3600)], opens_at=NIGHT, closes_at=None, workers=1)
    assert planned_picture(night, ZoneInfo("Asia/Kolkata"), 80, named=name)[0].plain.split()[0] == "03:30"
    assert planned_picture(night, UTC, 80, named=name)[0].plain.split()[0] == "22:00"
