"""How far a command is, from what the servers show of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.domain.requests import Options
from engine.domain.steps import WaitsFor
from engine.execution.plan_progress import look_ahead
from engine.targets.command_monitor import FIRST_POLL_AFTER, INTERVAL
from engine.targets.course import Course
from engine.targets.mysql.planning.operation_steps import check_steps, rebuild_steps
from engine.targets.mysql.planning.steps import MySqlStep
from engine.targets.mysql.reading.tables import Table
from engine.targets.mysql.running.progress import DISK_IS_FULL, Progress, Seen, shared
from tests.engine.targets.mysql.flavors import SERVER

SIZE = 264_000_000
ROWS = 2_000_000
TABLE = Table(database="shop", name="item", engine="InnoDB", rows=ROWS, data_bytes=200_000_000, index_bytes=64_000_000)
(STEP,) = rebuild_steps([TABLE], Options(), SERVER, {})
(CHECK,) = check_steps([TABLE], [], full=True)
LASTS = 10.0
POLLS = 50


def fractions(of: list[Seen], seconds: float | None, step: MySqlStep = STEP, lasts: float = LASTS) -> list[float]:
    progress = Progress(step, began=0.0, seconds=seconds)
    return [progress.update(seen, lasts * number / len(of)).fraction or 0.0 for number, seen in enumerate(of, 1)]


def test_a_check_of_mysql_shows_what_it_does_and_no_lock() -> None:
    assert Progress(CHECK, began=0.0, seconds=None).update(Seen("System lock"), 1.0).phase == "checking"


def test_a_gain_of_more_than_the_table_has_is_no_progress_that_never_moves() -> None:
    absurd = replace(STEP, gain=2 * SIZE)
    assert mean_error(fractions(of_mariadb(), LASTS, absurd)) <= 0.05


def course(of: list[Seen], step: MySqlStep = STEP) -> Course:
    progress = Progress(step, began=0.0, seconds=None)
    for number, seen in enumerate(of, 1):
        progress.update(seen, LASTS * number / len(of))
    return progress.course(LASTS)


def mean_error(found: list[float]) -> float:
    return sum(abs(one - number / len(found)) for number, one in enumerate(found, 1)) / len(found)


def of_mariadb() -> list[Seen]:
    """It has written its file after four fifths of the time."""
    return [Seen(state="altering table", new_file=min(SIZE, SIZE * number // 40)) for number in range(1, POLLS + 1)]


def of_mysql() -> list[Seen]:
    """It writes most of the file, sorts, and writes the rest. Its file is seen late."""
    found = [Seen(state="altering table", sorting=0)]
    for share in (number / POLLS for number in range(2, POLLS + 1)):
        written = SIZE * (0.75 * min(share / 0.3, 1.0) + 0.25 * max(share - 0.8, 0.0) / 0.2)
        sorted_ = round(1_200_000_000 * min(max(share - 0.3, 0.0) / 0.5, 1.0))
        found.append(Seen(state="altering table", new_file=round(written), sorting=sorted_))
    return found


def of_check() -> list[Seen]:
    """Its thread waits for the disk in the second half."""
    shares = (number / POLLS for number in range(1, POLLS + 1))
    return [Seen(state="", used=round(4_000 * (share + min(share, 0.5)))) for share in shares]


def test_a_server_whose_disk_is_full_is_shown_to_wait_for_space() -> None:
    for state in ("Waiting for someone to free space", "Waiting for disk space"):
        shown = Progress(STEP, began=0.0, seconds=None).update(Seen(state=state), 1.0)
        assert (shown.phase, shown.waits_for) == (DISK_IS_FULL, WaitsFor.SPACE)


def test_progress_never_goes_back_and_never_reaches_the_end() -> None:
    for step, seen in ((STEP, of_mariadb()), (STEP, [*of_mysql()[25:], *of_mysql()[:25]]), (CHECK, of_check())):
        for with_course in (step, replace(step, past_course=course(seen, step))):
            for seconds in (None, 2.0, LASTS):
                found = fractions(seen, seconds, with_course)
                assert found == sorted(found)
                assert found[-1] < 1


@pytest.mark.parametrize("lasts", [LASTS / 2, LASTS, 2 * LASTS])
@pytest.mark.parametrize(("step", "seen"), [(STEP, of_mariadb()), (STEP, of_mysql()), (CHECK, of_check())])
def test_with_a_history_progress_is_close_on_a_faster_or_slower_machine_too(
    step: MySqlStep, seen: list[Seen], lasts: float
) -> None:
    found = fractions(seen, LASTS, replace(step, past_course=course(seen, step)), lasts)
    assert mean_error(found) <= 0.05


def of_half_the_rows(seen: Seen) -> Seen:
    def half(count: int | None) -> int | None:
        return None if count is None else count // 2

    return replace(seen, new_file=half(seen.new_file), sorting=half(seen.sorting), used=half(seen.used))


@pytest.mark.parametrize(("whole", "seen"), [(STEP, of_mariadb()), (STEP, of_mysql()), (CHECK, of_check())])
def test_with_a_history_progress_is_close_where_the_table_has_grown_or_shrunk_since(
    whole: MySqlStep, seen: list[Seen]
) -> None:
    half, seen_of_half = replace(whole, table=replace(TABLE, rows=ROWS // 2)), [of_half_the_rows(one) for one in seen]
    grown = replace(whole, past_course=course(seen_of_half, half))
    assert mean_error(fractions(seen, LASTS, grown)) <= 0.05
    shrunk = replace(half, past_course=course(seen, whole))
    assert mean_error(fractions(seen_of_half, LASTS, shrunk)) <= 0.05


RECORDED = replace(TABLE, rows=148_708, data_bytes=47_120_384, index_bytes=10_551_296)
MB = 1024 * 1024
QUICK = ((0.34, {0.20: 24}), (0.45, {0.21: 16, 0.42: 36}), (0.56, {0.21: 18, 0.42: 27}))
SLOW = (
    (1.04, {0.20: 9, 0.41: 16, 0.61: 18, 0.82: 24}),
    (1.12, {0.21: 9, 0.42: 16, 0.63: 20, 0.84: 24, 1.04: 31}),
    (1.39, {0.22: 11, 0.43: 16, 0.66: 21, 0.86: 24, 1.08: 27, 1.28: 32}),
)
"""Runs of one rebuild on MariaDB, on a busy machine: how long each took, and the MB of its new file over time."""


def test_a_run_of_less_than_a_second_helps_the_next_one() -> None:
    (step,) = rebuild_steps([RECORDED], Options(), SERVER, {})
    errors = []
    for before, sizes_before in QUICK:
        earlier = Progress(step, began=0.0, seconds=None)
        for at, size in sizes_before.items():
            earlier.update(Seen(state="altering table", new_file=size * MB), at)
        with_past = replace(step, past_course=earlier.course(before))
        for lasts, sizes in SLOW:
            progress = Progress(with_past, began=0.0, seconds=before)
            for at, size in sizes.items():
                told = progress.update(Seen(state="altering table", new_file=size * MB), at).fraction or 0.0
                errors.append(abs(told - at / lasts))
    assert sum(errors) / len(errors) <= 0.1


@pytest.mark.parametrize("lasts", [0.7, 1.0, 1.5, 4.0])
def test_the_percent_of_a_short_run_is_close_whenever_it_is_read(lasts: float) -> None:
    """Reports stand until the next poll."""
    even = [Seen(state="altering table", new_file=SIZE * number // POLLS) for number in range(1, POLLS + 1)]
    progress = Progress(replace(STEP, past_course=course(even)), began=0.0, seconds=lasts)
    polls = [FIRST_POLL_AFTER + INTERVAL * number for number in range(int((lasts - FIRST_POLL_AFTER) / INTERVAL) + 1)]
    errors = []
    for at in polls:
        told = progress.update(Seen(state="altering table", new_file=round(SIZE * at / lasts)), at).fraction or 0.0
        told = look_ahead(told, at, INTERVAL / 2) or 0.0
        errors += [
            abs(told - (at + share * INTERVAL / 10) / lasts)
            for share in range(10)
            if at + share * INTERVAL / 10 < lasts
        ]
    assert sum(errors) / len(errors) <= 0.08


def test_a_rebuild_writes_less_by_what_it_gives_back() -> None:
    halved = [replace(one, new_file=(one.new_file or 0) // 2) for one in of_mariadb()]
    assert mean_error(fractions(halved, None, replace(STEP, gain=SIZE // 2))) <= 0.12


def test_where_the_rows_of_a_table_are_unknown_the_earlier_duration_counts() -> None:
    unknown = replace(STEP, table=replace(TABLE, rows=0))
    assert course(of_mariadb(), unknown) == ()
    known_then = replace(unknown, past_course=course(of_mariadb()))
    assert fractions(of_mariadb(), LASTS, known_then) == fractions(of_mariadb(), LASTS, unknown)


def test_what_mysql_sorts_for_rebuilds_at_once_is_shared_among_them_by_what_each_has_to_sort() -> None:
    large, small, plain = (replace(TABLE, index_bytes=size) for size in (64_000_000, 16_000_000, 0))
    found = shared(1_000, {1: large, 2: small, 3: plain})
    assert sum(found.values()) == pytest.approx(1_000)
    assert found[1] > 4 * found[2]
    assert found[3] == 0
    assert shared(1_000, {3: plain}) == shared(1_000, {}) == {}


def test_where_only_the_earlier_duration_is_known_it_counts() -> None:
    assert mean_error(fractions([Seen(state="executing")] * POLLS, LASTS, CHECK)) <= 0.1


def test_without_a_history_what_the_server_shows_counts_and_else_nothing_is_claimed() -> None:
    assert mean_error(fractions(of_mariadb(), None)) <= 0.12
    assert mean_error(fractions(of_mysql(), None)) <= 0.15
    assert Progress(STEP, began=0.0, seconds=None).update(Seen(state="Executing"), 1.0).fraction is None
    assert Progress(CHECK, began=0.0, seconds=None).update(of_check()[9], 1.0).fraction is None


def test_a_wait_for_a_lock_is_no_progress() -> None:
    waits = Seen(state="Waiting for table metadata lock")
    told = Progress(STEP, began=0.0, seconds=LASTS).update(waits, 5.0, "connection 7 (ann@web)")
    assert (told.fraction, told.waits_for) == (None, WaitsFor.LOCK)
    assert "connection 7" in (told.phase or "")


def test_the_time_of_a_wait_is_no_work() -> None:
    waits, works = Seen(state="Waiting for table metadata lock"), Seen(state="executing")
    progress = Progress(CHECK, began=0.0, seconds=LASTS)
    progress.update(waits, LASTS)
    assert progress.update(works, LASTS + 1.0).fraction == pytest.approx(1.0 / LASTS)
