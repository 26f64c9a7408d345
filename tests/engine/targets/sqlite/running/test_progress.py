from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.steps import WRITING_BACK
from engine.targets.sqlite.planning import copy_costs, costs
from engine.targets.sqlite.planning.copy_costs import Content
from engine.targets.sqlite.reading.catalog import Index
from engine.targets.sqlite.running.progress import (
    COPYING,
    Model,
    Sample,
    by_opcodes,
    has_moved,
    of_checkpoint,
    of_copy,
    of_exchange,
    of_reindex,
    of_vacuum,
    share_of_copying,
    two_phases,
)
from engine.targets.sqlite.running.sampling import reports_by_time
from engine.targets.step_execution import StepContext, StepProgress

MB = 1_000_000
START = Sample(elapsed=1e9, ticks=0, read=0, written=0, side_file=0, touched=0)
VOLUME = 159 * MB

# Megabytes written, in the side file and touched, at equal intervals: as recorded from real VACUUMs of one database.
IN_PLACE_IN_MEMORY = (
    (0, 0, 54.0), (0, 0, 68.8), (0, 0, 102.9), (0, 0, 124.6), (12.9, 12.9, 156.5), (69.7, 43.0, 160.1),
    (106.3, 61.4, 160.1), (174.2, 95.4, 160.1), (242.8, 121.5, 160.1), (242.8, 0, 160.1),
)  # fmt: skip
IN_PLACE_IN_A_FILE = (
    (12.8, 0, 25.9), (42.6, 0, 29.8), (51.4, 0, 29.9), (98.8, 0, 30.1), (137.2, 24.3, 47.4), (206.2, 58.8, 47.4),
    (265.6, 88.5, 47.4), (289.7, 100.6, 47.4), (347.9, 121.5, 47.4), (364.1, 0, 47.4),
)  # fmt: skip
WAL_IN_MEMORY = (
    (0, 0, 45.2), (0, 0, 61.8), (0, 0, 80.3), (0, 0, 118.3), (1.7, 1.7, 160.1), (28.5, 28.5, 160.2),
    (75.9, 76.0, 160.3), (122.0, 122.0, 160.4), (141.6, 122.0, 160.4), (243.2, 122.0, 160.4),
)  # fmt: skip


# The same with their seconds, of other databases: of long values, and, on a busy machine, of very short rows.
LONG_VALUES = (
    (0.10, 0, 0, 85.5), (0.16, 0, 0, 135.9), (0.23, 0, 0, 187.5), (0.31, 2.2, 2.2, 235.2), (0.41, 34.2, 25.3, 250.3),
    (0.54, 103.3, 59.9, 250.3), (0.68, 176.0, 96.3, 250.3), (0.86, 276.3, 146.4, 250.3), (0.96, 324.2, 170.5, 250.3),
    (1.06, 373.8, 195.2, 250.3), (1.16, 410.5, 0, 250.3), (1.18, 410.5, 0, 250.3),
)  # fmt: skip
SHORT_ROWS = (
    (0.61, 0, 0, 30.1), (1.25, 0, 0, 53.1), (2.57, 0, 0, 113.6), (3.88, 0, 0, 177.7), (5.16, 16.3, 16.3, 240.0),
    (5.80, 91.2, 53.8, 240.0), (6.48, 162.4, 89.4, 240.0), (7.18, 232.7, 124.6, 240.0), (7.85, 305.0, 160.8, 240.0),
    (8.52, 395.4, 197.9, 240.0), (9.0, 395.4, 0, 240.0),
)  # fmt: skip
# Seconds, millions of opcodes and megabytes in the journal of a REINDEX.
REINDEX = (
    (0.007, 0.25, 0), (0.038, 0.91, 0), (0.067, 1.68, 3.8), (0.084, 1.68, 8.3), (0.097, 1.68, 10.1),
    (0.110, 1.68, 13.9), (0.123, 1.68, 16.7), (0.135, 1.68, 17.7), (0.144, 1.68, 17.7), (0.159, 2.10, 17.7),
    (0.169, 2.52, 17.7), (0.180, 2.94, 17.7), (0.193, 3.02, 17.7), (0.206, 3.02, 17.7), (0.219, 3.02, 17.7),
    (0.233, 3.02, 0), (0.237, 3.02, 0),
)  # fmt: skip

# The same with pages of 64 KB.
REINDEX_OF_LARGE_PAGES = (
    (0.027, 1.43, 0), (0.053, 2.78, 0), (0.167, 3.56, 14.6), (0.193, 3.56, 14.6), (0.246, 3.56, 14.6),
    (0.298, 3.56, 14.6), (0.351, 3.56, 14.6), (0.403, 3.56, 14.6), (0.454, 3.56, 14.6), (0.509, 3.56, 14.6),
    (0.535, 3.56, 14.6), (0.561, 4.76, 14.6), (0.588, 5.62, 14.6), (0.614, 6.42, 14.6), (0.622, 6.42, 0),
)  # fmt: skip

# Of a table without rowid, of 151 MB.
REINDEX_TABLE = (
    (0.083, 2.24, 0), (0.172, 4.71, 0), (0.266, 7.19, 0), (0.323, 7.52, 13.7), (0.376, 7.52, 25.1),
    (0.428, 7.52, 39.7), (0.480, 7.52, 55.9), (0.533, 7.52, 72.0), (0.587, 7.52, 88.7), (0.638, 7.52, 101.4),
    (0.692, 7.52, 118.8), (0.744, 7.52, 134.7), (0.798, 7.52, 149.8), (0.877, 8.43, 151.4), (0.965, 9.77, 151.4),
    (1.054, 11.18, 151.4), (1.139, 12.51, 151.4), (1.202, 13.16, 151.4), (1.256, 13.16, 151.4), (1.314, 13.16, 0),
    (1.338, 13.16, 0),
)  # fmt: skip

# Of one of 1.1 GB with a column of real numbers, on a machine whose disk was busy.
WITH_REAL_NUMBERS = (
    (0.17, 5.67, 0), (0.5, 15.04, 0), (0.9, 25.97, 0), (1.31, 36.05, 0), (1.72, 44.24, 0), (2.14, 51.85, 0),
    (2.48, 56.4, 2), (2.58, 56.4, 10), (2.98, 56.4, 69), (3.38, 56.4, 130), (3.79, 56.4, 195), (4.19, 56.4, 257),
    (4.6, 56.4, 309), (5.0, 56.4, 358), (5.41, 56.4, 409), (5.81, 56.4, 459), (6.21, 56.4, 513), (6.62, 56.4, 568),
    (7.02, 56.4, 634), (7.43, 56.4, 690), (7.83, 56.4, 762), (8.23, 56.4, 837), (8.64, 56.4, 910), (9.04, 56.4, 991),
    (9.45, 56.4, 1059), (9.85, 56.4, 1134), (10.26, 60.2, 1137), (10.67, 65.83, 1137), (11.08, 70.64, 1137),
    (11.49, 76.13, 1137), (11.9, 80.88, 1137), (12.31, 86.39, 1137), (12.72, 91.77, 1137), (13.13, 96.58, 1137),
    (13.3, 98.7, 1137), (13.7, 98.7, 1137), (14.25, 98.7, 0),
)  # fmt: skip


def vacuum(*, wal: bool = False, in_memory: bool = False) -> Model:
    return of_vacuum(course_of(Content.usual(VOLUME)), VOLUME, wal=wal, in_memory=in_memory)


def course_of(content: Content) -> tuple[tuple[float, float], ...]:
    return copy_costs.vacuum(content, in_memory=True).course


def recorded(rows: Sequence[tuple[float, ...]]) -> list[Sample]:
    """With ten seconds between them."""
    return timed([(10.0 * number, *row) for number, row in enumerate(rows, 1)])


def timed(rows: Sequence[tuple[float, ...]]) -> list[Sample]:
    return [
        replace(
            START, elapsed=seconds, written=round(written * MB), side_file=round(side * MB), touched=round(own * MB)
        )
        for seconds, written, side, own in rows
    ]


def error(model: Model, samples: Sequence[Sample], whole: float) -> float:
    """In points, on average."""
    model.update(replace(START, elapsed=0))
    said = fractions(told(model, samples))
    return 100 * sum(abs(part - sample.elapsed / whole) for part, sample in zip(said, samples, strict=True)) / len(said)


def told(model: Model, samples: Sequence[Sample]) -> list[StepProgress]:
    return [model.update(sample) for sample in samples]


def fractions(estimates: Sequence[StepProgress]) -> list[float]:
    return [estimate.fraction for estimate in estimates if estimate.fraction is not None]


@pytest.mark.parametrize(
    ("rows", "model"),
    [
        (IN_PLACE_IN_MEMORY, vacuum(in_memory=True)),
        (IN_PLACE_IN_A_FILE, vacuum()),
        (WAL_IN_MEMORY, vacuum(wal=True, in_memory=True)),
    ],
)
def test_a_recorded_vacuum_is_told_within_some_points_of_its_time(
    rows: Sequence[tuple[float, ...]], model: Model
) -> None:
    assert error(model, recorded(rows), 10 * len(rows) + 5) < 7


@pytest.mark.parametrize(
    ("rows", "content"),
    [
        (LONG_VALUES, Content(size=203 * MB, cells=20_000, values=200 * MB)),
        (SHORT_ROWS, Content(size=198 * MB, cells=11_000_000)),
    ],
)
def test_short_rows_take_longer_to_copy_and_long_values_less(
    rows: Sequence[tuple[float, ...]], content: Content
) -> None:
    def error_with(content: Content) -> float:
        model = of_vacuum(course_of(content), content.size, content.size, wal=False, in_memory=True)
        return error(model, timed(rows), rows[-1][0])

    assert error_with(content) < min(5, error_with(Content.usual(round(content.size / 0.8))))


def test_when_it_writes_back_its_own_speed_says_more_and_more_how_long_that_takes() -> None:
    def said(seconds: float, done: float) -> float:
        return two_phases(0.4, 4.0, seconds, done)

    assert said(0, 0) == pytest.approx(0.4)
    assert said(3, 0.5) == pytest.approx(0.7)
    assert said(6, 0.5) == pytest.approx(10 / 16)
    assert said(1, 0.05) < said(1, 0.1)
    assert said(100, 0.01) <= 1


def test_in_wal_mode_the_sync_of_the_log_is_told_by_its_time() -> None:
    content = Content(size=100 * MB, cells=2_000_000, keyed=35 * MB)
    model = of_vacuum(course_of(content), 100 * MB, 100 * MB, wal=True, in_memory=False)
    copied = replace(START, elapsed=450, written=100 * MB)
    log = [(0.1, 1), (1.8, 50), (3.6, 100), (3.8, 100), (4.0, 100), (4.1, 105)]
    samples = [
        replace(copied, elapsed=450 + 100 * seconds, written=(100 + done) * MB, side_file=done * MB)
        for seconds, done in log
    ]
    *_, half, complete, synced, longer, after = fractions(told(model, [replace(START, elapsed=0), copied, *samples]))
    assert half < complete < synced < longer <= after
    assert [half, complete, longer, after] == pytest.approx([0.63, 0.82, 0.85, 0.86], abs=0.02)


def reindexed(rows: Sequence[tuple[float, float, float]]) -> list[Sample]:
    """With ten times the seconds."""
    return [
        replace(START, elapsed=10 * seconds, ticks=round(ticks * MB), side_file=round(side * MB))
        for seconds, ticks, side in rows
    ]


@pytest.mark.parametrize(
    ("rows", "number", "volume", "page_size"),
    [(REINDEX, 333_565, 17_625_088, 4096), (REINDEX_OF_LARGE_PAGES, 699_729, 14_417_920, 65_536)],
)
def test_a_reindex_is_as_far_as_its_opcodes_and_its_journal_say(
    rows: Sequence[tuple[float, float, float]], number: int, volume: int, page_size: int
) -> None:
    samples, whole = reindexed(rows), 10 * rows[-1][0]
    course = costs.reindex(Index(name="i", table="t", rows=number), volume, page_size).course
    assert error(of_reindex(course, volume), samples, whole) < 9 < 12 < error(by_opcodes(course), samples, whole)


@pytest.mark.parametrize(
    ("recorded_counters", "rows", "volume"),
    [(REINDEX_TABLE, 940_000, 151 * MB), (WITH_REAL_NUMBERS, 7_054_234, 1_137 * MB)],
)
def test_a_reindex_of_a_table_without_rowid_is_as_far_as_its_bytes_say(
    recorded_counters: Sequence[tuple[float, float, float]], rows: int, volume: int
) -> None:
    index = Index(name="k", table="t", unique=True, columns=4, rows=rows, is_table=True)
    samples = reindexed(recorded_counters)
    course, whole = costs.reindex(index, volume, 4096).course, samples[-1].elapsed
    as_of_short_rows = of_reindex(costs.reindex(index, volume // 8, 4096).course, volume)
    assert error(of_reindex(course, volume), samples, whole) < 8.5 < error(as_of_short_rows, samples, whole)


def test_a_vacuum_copies_first_and_then_writes_back() -> None:
    phases = [estimate.phase for estimate in told(vacuum(in_memory=True), [START, *recorded(IN_PLACE_IN_MEMORY)])]
    assert phases == [COPYING] * 5 + [WRITING_BACK] * 6


def test_a_log_that_is_there_already_is_no_writing_back() -> None:
    model = vacuum(wal=True)
    before = replace(START, side_file=4 * MB)
    assert {estimate.phase for estimate in told(model, [before, replace(before, written=VOLUME // 2)])} == {COPYING}


def test_a_temporary_database_of_no_plausible_size_is_taken_for_as_large_as_what_was_copied() -> None:
    course = ((0, 0), (120 * MB, 430), (360 * MB, 950), (360 * MB, 1000))
    model = of_vacuum(course, VOLUME, wal=False, in_memory=True)
    model.update(replace(START, elapsed=0))
    turn = replace(START, elapsed=430, side_file=MB)  # in memory that was there already
    half = replace(turn, elapsed=430 + 520 * 0.5, written=VOLUME)
    (begun, half_way) = fractions(told(model, [turn, half]))
    assert begun == pytest.approx(0.43, abs=0.001)
    assert half_way == pytest.approx(0.43 + 0.52 * 0.5, abs=0.001)


def test_what_the_system_does_not_tell_is_not_made_up() -> None:
    unknown = replace(START, ticks=10_000, read=None, written=None, touched=None)
    assert vacuum().update(unknown) == StepProgress()
    assert of_copy(VOLUME).update(unknown) == StepProgress(phase=COPYING)
    assert by_opcodes(()).update(unknown) == StepProgress()


def test_opcodes_tell_how_far_a_statement_is_on_its_course() -> None:
    model = by_opcodes(((0, 0), (10_000, 3), (20_000, 4), (60_000, 6)))
    said = fractions(
        told(model, [replace(START, ticks=ticks) for ticks in (0, 5_000, 10_000, 15_000, 40_000, 60_000, 90_000)])
    )
    assert said == pytest.approx([0, 0.25, 0.5, 3.5 / 6, 5 / 6, 0.99, 0.99])


def test_a_last_part_without_opcodes_is_told_by_its_time() -> None:
    model = by_opcodes(((0, 0), (1_000_000, 40), (1_000_000, 100)))
    samples = [
        replace(START, elapsed=seconds, ticks=ticks)
        for seconds, ticks in ((200, 500_000), (400, 980_000), (700, 990_000), (1000, 1_000_000), (9000, 1_000_000))
    ]
    assert fractions(told(model, samples)) == pytest.approx([0.2, 0.4, 0.7, 0.956, 0.99], abs=0.01)


def test_more_opcodes_than_expected_are_not_the_last_part_without_any() -> None:
    model = by_opcodes(((0, 0), (1_000_000, 40), (1_000_000, 100)))
    samples = [
        replace(START, elapsed=seconds, ticks=ticks)
        for seconds, ticks in ((360, 900_000), (400, 1_000_000), (440, 1_100_000), (770, 1_110_000))
    ]
    assert fractions(told(model, samples)) == pytest.approx([0.36, 0.4, 0.4, 0.7], abs=0.01)


def test_a_copy_is_as_far_as_what_it_has_read_until_it_syncs_it() -> None:
    said = fractions(told(of_copy(100 * MB), [replace(START, read=n * MB) for n in (0, 50, 100, 150)]))
    assert said == pytest.approx([0.0, 0.415, 0.83, 0.83])


EXCHANGE = ((0, 0), (8 * MB, 10), (80 * MB, 60), (80 * MB, 70), (80 * MB, 100))


def test_an_exchange_is_as_far_as_what_it_has_written_and_then_as_its_sync() -> None:
    at = [(100, 4), (100, 8), (600, 80), (650, 80), (700, 80)]
    samples = [replace(START, elapsed=seconds, written=done * MB) for seconds, done in at]
    said = fractions(told(of_exchange(EXCHANGE), samples))
    assert said == pytest.approx([0.05, 0.1, 0.6, 0.65, 0.69], abs=0.01)


# Seconds and megabytes, written and in memory, of an exchange of a database with pages of 64 KB.
EXCHANGE_OF_LARGE_PAGES = (
    (0.05, 0.2, 12.3), (0.07, 0.2, 25.6), (0.1, 8.1, 33.3), (0.13, 24.9, 33.3), (0.16, 44.1, 33.3), (0.19, 53.2, 33.5),
    (0.23, 60.2, 33.5), (0.27, 71.9, 33.5),
)  # fmt: skip


def test_what_an_exchange_has_filled_and_not_written_counts() -> None:
    course = ((0, 0), (72.5 * MB, 96), (94.7 * MB, 180), (105 * MB, 227), (105 * MB, 252), (105 * MB, 315))
    model = of_exchange(course)
    samples = [
        replace(START, elapsed=seconds, written=round(written * MB), touched=round(kept * MB))
        for seconds, written, kept in EXCHANGE_OF_LARGE_PAGES
    ]
    errors = [
        abs(100 * fraction - 72 * sample.elapsed / 0.27)
        for sample, fraction in zip(samples, fractions(told(model, samples)), strict=True)
    ]
    assert sum(errors) / len(errors) < 8


def test_an_exchange_that_writes_less_than_expected_is_no_further_than_what_it_has_written() -> None:
    samples = [replace(START, elapsed=seconds, written=44 * MB) for seconds in (350, 3_500)]
    assert fractions(told(of_exchange(EXCHANGE), samples)) == pytest.approx([0.35, 0.35], abs=0.001)
    assert of_exchange(EXCHANGE).update(replace(START, written=None)) == StepProgress(phase=COPYING)


def test_an_exchange_of_a_database_without_anything_in_it_has_progress() -> None:
    nothing = copy_costs.exchange(Content.usual(0), compared=False).course
    assert fractions(told(of_exchange(nothing), [replace(START, elapsed=0.01, written=512)]))[0] > 0


def test_what_follows_the_copy_of_an_exchange_is_the_last_part_of_its_course() -> None:
    assert share_of_copying(EXCHANGE) == pytest.approx(0.7)


def test_what_waits_for_a_lock_has_not_moved_though_it_touches_memory() -> None:
    assert not has_moved(START, replace(START, touched=4096, read=MB))
    assert has_moved(START, replace(START, touched=MB))
    assert has_moved(START, replace(START, written=1))
    assert has_moved(START, replace(START, ticks=10_000))


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e9])
async def test_what_follows_a_copy_is_told_by_its_time_and_never_as_its_end(seconds: float) -> None:
    seen: list[StepProgress] = []
    is_told = asyncio.Event()

    def report(progress: StepProgress) -> None:
        seen.append(progress)
        is_told.set()

    async with reports_by_time(StepContext(report=report), "checking the copy", 0.7, seconds):
        await is_told.wait()
    assert seen[0].phase == "checking the copy"
    assert all(0.7 <= part < 1 for part in fractions(seen))


def test_a_checkpoint_is_as_far_as_what_it_has_written() -> None:
    model = of_checkpoint(100 * MB)
    said = fractions(told(model, [replace(START, written=n * MB) for n in (0, 50, 150)]))
    assert said == pytest.approx([0.0, 0.5, 0.99])
    assert of_checkpoint(100 * MB).update(replace(START, written=None)) == StepProgress()


_number = st.integers(0, 1 << 44)
_maybe = st.none() | _number
_samples = st.lists(
    st.builds(
        Sample,
        elapsed=st.floats(0, 1e9),
        ticks=_number,
        read=_maybe,
        written=_maybe,
        side_file=_number,
        touched=_maybe,
    )
)
_volumes = st.integers(0, 1 << 44)
_courses = st.lists(st.tuples(_volumes, _volumes), max_size=4).map(
    lambda steps: tuple(accumulate(steps, lambda sum_, step: (sum_[0] + step[0], sum_[1] + step[1]), initial=(0, 0)))
)
_objects = st.integers(0, 1 << 20)
_contents = st.builds(Content, size=_volumes, cells=_volumes, keyed=_volumes, values=_volumes, objects=_objects)
_models: st.SearchStrategy[Model] = st.one_of(
    st.builds(by_opcodes, _courses),
    st.builds(of_copy, _volumes),
    st.builds(of_checkpoint, _volumes),
    st.builds(of_vacuum, _contents.map(course_of), _volumes, _volumes, wal=st.booleans(), in_memory=st.booleans()),
    st.builds(lambda content: of_exchange(copy_costs.exchange(content, compared=False).course), _contents),
    st.builds(of_reindex, _courses, _volumes),
)


@given(model=_models, samples=_samples)
def test_whatever_the_counters_say_progress_rises_from_0_and_never_claims_the_end(
    model: Model, samples: list[Sample]
) -> None:
    said = fractions(told(model, samples))
    assert all(0.0 <= fraction < 1.0 for fraction in said)
    assert all(earlier <= later for earlier, later in pairwise(said))


@given(
    samples=_samples,
    build=st.sampled_from([lambda: vacuum(), lambda: by_opcodes(((0, 0), (1e6, 1))), lambda: of_copy(VOLUME)]),
)
def test_what_has_been_said_stays_said(samples: list[Sample], build: Callable[[], Model]) -> None:
    estimates = told(build(), samples)
    known = [estimate.fraction is not None for estimate in estimates]
    assert known == sorted(known)
