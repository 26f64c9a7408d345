"""The picture of a night: bars over its window, as planned and as it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from engine.domain.engines import EngineName
from engine.domain.jobs import ChildJob, ParentJob
from engine.domain.requests import Operation, Request
from engine.domain.statuses import Reason, Status
from engine.schedules.night import PlannedNight, PlannedTarget, PlannedWork, planned_night
from tests.engine.schedules.test_night import operation
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
        operations=[operation(Operation.VACUUM, one) for one in seconds],
        starts_at=NIGHT + starts * MINUTE,
        problem=problem,
    )


def night_of(targets: Sequence[PlannedTarget], *, closes_at: int | None = None, workers: int = 1) -> PlannedNight:
    work = PlannedWork(schedule="nightly", targets=targets, opens_at=NIGHT, closes_at=closes_at)
    return planned_night(work, workers=workers)


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
    night = night_of(
        [planned("a", 3600, 3600), planned("b", 1800), planned("c", None, starts=60), planned("d", 9 * 3600),
         planned("e", problem="e: there is no such file"), PlannedTarget(target="f", elsewhere="h2")],
        closes_at=NIGHT + 7 * 60 * MINUTE, workers=2,
    )  # fmt: skip
    rows = [row.plain for row in planned_picture(night, ZONE, 110, named=name)]
    assert rows[0].split()[:2] == ["22:00", "23:00"]
    assert rows[1].startswith("× e ")
    assert rows[2].startswith("· a ▄▄▄▄▄▄▄▄")
    assert rows[2].endswith("2h  vacuum, vacuum")
    found = {row.split()[1]: row for row in rows[1:7]}
    assert found["d"].startswith("– d ")
    assert "not begun" in found["d"]
    assert found["e"].startswith("× e ")
    assert "there is no such" in found["e"]
    assert "?" in found["c"]
    assert found["f"].startswith("· f ")
    assert "planned on h2" in found["f"]
    assert rows[-1] == "· queued  ▄ by estimate  ? of unknown length"
    assert all(len(row) <= 110 for row in rows)


def test_a_night_as_it_went() -> None:
    jobs = [job(1, 0, 60), job(2, 0, 200, failed=True), job(3, 60, 120)]
    rows = [row.plain for row in real_picture(jobs, NIGHT, NIGHT + 420 * MINUTE, NIGHT, ZONE, 110, named=name)]
    assert [row[:4] for row in rows[1:4]] == ["× t2", "✓ t1", "✓ t3"]
    assert "disk full" in rows[1]
    assert rows[3].split()[2].startswith("·····")
    assert rows[3].split()[2].endswith("▆▆▆▆")
    assert "2:00:00" in rows[3]


def test_of_very_many_those_that_failed_are_drawn() -> None:
    jobs = [job(number, number, 5, failed=number == 90) for number in range(1, 101)]
    rows = [row.plain for row in real_picture(jobs, NIGHT, None, NIGHT, ZONE, 80, named=name, most=3)]
    assert [row.split()[1] for row in rows[1:4]] == ["t90", "t1", "t2"]
    assert rows[4] == "and 97 targets more"


def test_one_that_failed_is_drawn_however_many_there_are() -> None:
    jobs = [job(number, number, 5, failed=number > 10) for number in range(1, 101)]
    rows = [row.plain for row in real_picture(jobs, NIGHT, None, NIGHT, ZONE, 80, named=name, most=3)]
    assert sum(row.startswith("×") for row in rows) == 90
    assert rows[91] == "and 10 targets more"


def test_one_that_was_cancelled_partial_or_never_began_is_drawn() -> None:
    jobs = [job(number, number, 5) for number in range(1, 65)]
    cancelled = replace(jobs[62], status=Status.CANCELLED)
    left = replace(jobs[63].children[0], ordinal=2, status=Status.SKIPPED, reason=Reason.TIME_LIMIT)
    partial = replace(jobs[63], children=(*jobs[63].children, left))
    never = replace(job(65, 0, 0, failed=True), started_at=None)
    shown = real_picture([*jobs[:62], cancelled, partial, never], NIGHT, None, NIGHT, ZONE, 80, named=name, most=40)
    names = [row.plain.split()[1] for row in shown[1:41]]
    assert names[0] == "t65"
    assert names[-2:] == ["t63", "t64"]
    assert shown[41].plain == "and 25 targets more"


def test_what_would_not_run_is_said_beside_what_does() -> None:
    both = replace(planned("a", 60), operations=[
        operation(Operation.VACUUM, 60.0),
        operation(Operation.CHECK, 9.0, idle="a: amcheck is not installed"),
    ])  # fmt: skip
    night = night_of([both])
    (shown,) = [row.plain for row in planned_picture(night, ZONE, 200, named=name) if " a " in row.plain]
    assert shown.endswith("vacuum; not check")


def test_no_line_counts_one_target() -> None:
    night = night_of([planned(f"t{n}", 60) for n in range(5)])
    for most in (4, 5, 6):
        rows = [row.plain for row in planned_picture(night, ZONE, 80, named=name, most=most)]
        assert [row.split()[1] for row in rows[1:6]] == ["t0", "t1", "t2", "t3", "t4"]
        assert not any("more" in row for row in rows)
    rows = [row.plain for row in planned_picture(night, ZONE, 80, named=name, most=3)]
    assert rows[4] == "and 2 targets more"
    jobs = [job(number, number, 5, failed=number > 1) for number in range(1, 6)]
    rows = [row.plain for row in real_picture(jobs, NIGHT, None, NIGHT, ZONE, 80, named=name, most=3)]
    assert rows[5].startswith("✓ t1 ")


def test_of_a_long_plan_what_cannot_be_planned_or_does_not_fit_is_drawn() -> None:
    targets = [planned(f"t{n}", 60) for n in range(50)]
    targets += [planned("long", 9 * 3600), planned("gone", problem="gone: there is no such file")]
    night = night_of(targets, closes_at=NIGHT + 60 * MINUTE)
    rows = [row.plain for row in planned_picture(night, ZONE, 120, named=name, most=10)]
    assert {row.split()[1] for row in rows[1:11]} >= {"long", "gone"}
    assert rows[11] == "and 42 targets more"


def test_the_reason_stands_where_the_bar_would_be_without_the_path_of_the_target() -> None:
    target = "sqlite:///srv/a/very/long/way/to/the/databases/zz-damaged.db"
    for said in (target, target.removeprefix("sqlite://")):
        problem = f"{said}: its first page is damaged, and nothing can be read"
        night = night_of([planned("a", 60), planned(target, problem=problem)])
        rows = [row.plain for row in planned_picture(night, ZONE, 120, named=name)]
        (shown,) = [row for row in rows if "zz-damaged" in row]
        assert shown == "× zz-damaged its first page is damaged, and nothing can be read"


def test_times_of_day_are_those_of_the_zone_of_the_schedule() -> None:
    night = night_of([planned("a", 3600)])
    assert planned_picture(night, ZoneInfo("Asia/Kolkata"), 80, named=name)[0].plain.split()[0] == "03:30"
    assert planned_picture(night, UTC, 80, named=name)[0].plain.split()[0] == "22:00"


def test_a_target_done_in_part_shows_its_bar_and_how_much_is_left() -> None:
    part = replace(planned("a", 60), operations=[operation(Operation.REINDEX, 60.0, 60.0, 60.0)])
    night = night_of([part], closes_at=NIGHT + 2 * MINUTE)
    (shown,) = [row.plain for row in planned_picture(night, ZONE, 200, named=name) if " a " in row.plain]
    assert "▄" in shown
    assert shown.endswith("reindex; 1 step of reindex not begun")


def test_what_went_wrong_comes_first_with_its_reason_also_where_notes_have_no_room() -> None:
    never = replace(job(99, 0, 0, failed=True), started_at=None, finished_at=None)
    jobs = [*(job(number, number, 5) for number in range(1, 50)), job(50, 60, 30, failed=True), never]
    for width in (40, 80, 120, 200):
        rows = [row.plain for row in real_picture(jobs, NIGHT, None, NIGHT, ZONE, width, named=name)]
        assert [row[:5] for row in rows[1:3]] == ["× t50", "× t99"]
        assert all("disk full" in row for row in rows[1:3])
        assert rows[3].startswith("✓ t1 ")


def test_an_effect_beside_a_bar_is_never_cut_where_a_shorter_one_fits() -> None:
    one = job(1, 0, 60)
    shrunk = replace(one.children[0], before={"size": 4_940_000}, after={"size": 4_453_000})
    for width in (100, 116, 120, 200):
        (_, row) = real_picture([replace(one, children=(shrunk,))], NIGHT, None, NIGHT, ZONE, width, named=name)
        assert "…" not in row.plain
        assert "4.94 MB -> 4.45 MB" in row.plain
        assert len(row.plain) <= width


def test_targets_that_the_window_left_out_are_counted_where_they_are_many() -> None:
    def left(number: int, reason: Reason) -> ParentJob:
        one = replace(job(number, 0, 0), started_at=None)
        skipped = replace(one.children[0], status=Status.SKIPPED, reason=reason, started_at=None, finished_at=NIGHT)
        return replace(one, children=(skipped, replace(skipped, ordinal=2)))

    jobs = [job(1, 0, 60), *(left(number, Reason.TIME_LIMIT) for number in range(2, 36))]
    few = [left(number, Reason.WILL_NOT_FIT) for number in range(40, 42)]
    for width in (80, 120):
        rows = [row.plain for row in real_picture([*jobs, *few], NIGHT, None, NIGHT, ZONE, width, named=name)]
        assert rows[1].startswith("✓ t1 ")
        assert [row.split(maxsplit=2)[1:] for row in rows[2:4]] == [
            [f"t{number}", "not begun: by estimate it ends after the window"] for number in (40, 41)
        ]
        assert rows[4] == "– 34 targets not begun: the window closed first"
    targets = [planned("a", 60), *(planned(f"b{number}", 9 * 3600) for number in range(30))]
    night = night_of(targets, closes_at=NIGHT + 60 * MINUTE)
    rows = [row.plain for row in planned_picture(night, ZONE, 80, named=name)]
    assert rows[2] == "– 30 targets not begun: by estimate it ends after the window"


def test_a_target_of_which_one_operation_did_not_fit_is_not_shown_as_completed() -> None:
    one = job(1, 0, 60)
    left = replace(one.children[0], status=Status.SKIPPED, reason=Reason.WILL_NOT_FIT, operation=Operation.REINDEX)
    partial = replace(one, children=(left, replace(one.children[0], ordinal=2)))
    (_, row) = real_picture([partial], NIGHT, None, NIGHT, ZONE, 200, named=name)
    assert row.plain.startswith("– t1 ")
    assert row.plain.endswith("reindex not begun: by estimate it ends after the window")
