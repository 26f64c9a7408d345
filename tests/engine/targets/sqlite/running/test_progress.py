from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.steps import WRITING_BACK
from engine.targets.sqlite.running.progress import (
    COPYING,
    Model,
    Sample,
    by_opcodes,
    of_checkpoint,
    of_copy,
    of_vacuum,
)
from engine.targets.step_execution import StepProgress

MB = 1_000_000
START = Sample(elapsed=inf, ticks=0, read=0, written=0, side_file=0, touched=0)
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


def vacuum(*, wal: bool = False, in_memory: bool = False) -> Model:
    return of_vacuum(VOLUME, wal=wal, in_memory=in_memory)


def recorded(rows: Sequence[tuple[float, ...]]) -> list[Sample]:
    in_bytes = ([int(number * MB) for number in row] for row in rows)
    return [replace(START, written=written, side_file=side, touched=touched) for written, side, touched in in_bytes]


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
    model.update(START)
    said = fractions(told(model, recorded(rows)))
    elapsed = [number / (len(rows) + 0.5) for number in range(1, len(rows) + 1)]
    errors = [abs(fraction - share) for fraction, share in zip(said, elapsed, strict=True)]
    assert sum(errors) / len(errors) < 0.07
    assert said[-1] > 0.85


def test_a_vacuum_copies_first_and_then_writes_back() -> None:
    phases = [estimate.phase for estimate in told(vacuum(in_memory=True), [START, *recorded(IN_PLACE_IN_MEMORY)])]
    assert phases == [COPYING] * 5 + [WRITING_BACK] * 6


def test_a_log_that_is_there_already_is_no_writing_back() -> None:
    model = vacuum(wal=True)
    before = replace(START, side_file=4 * MB)
    assert {estimate.phase for estimate in told(model, [before, replace(before, written=VOLUME // 2)])} == {COPYING}


def test_a_temporary_database_of_no_plausible_size_is_taken_for_as_large_as_what_was_copied() -> None:
    model = vacuum(in_memory=True)
    model.update(START)
    turn = replace(START, side_file=MB)  # in memory that was there already
    half = replace(turn, written=VOLUME)
    (begun, half_way) = fractions(told(model, [turn, half]))
    assert begun == pytest.approx(0.43)
    assert half_way == pytest.approx(0.43 + 0.57 * 0.46)


def test_what_the_system_does_not_tell_is_not_made_up() -> None:
    unknown = replace(START, ticks=10_000, read=None, written=None, touched=None)
    assert vacuum().update(unknown) == StepProgress()
    assert of_copy(VOLUME).update(unknown) == StepProgress()
    assert by_opcodes(()).update(unknown) == StepProgress()


def test_opcodes_tell_how_far_a_statement_is_on_its_course() -> None:
    model = by_opcodes(((0, 0), (10_000, 3), (20_000, 4), (60_000, 6)))
    said = fractions(
        told(model, [replace(START, ticks=ticks) for ticks in (0, 5_000, 10_000, 15_000, 40_000, 60_000, 90_000)])
    )
    assert said == pytest.approx([0, 0.25, 0.5, 3.5 / 6, 5 / 6, 0.99, 0.99])


def test_a_copy_is_as_far_as_what_it_has_read_until_it_syncs_it() -> None:
    said = fractions(told(of_copy(100 * MB), [replace(START, read=n * MB) for n in (0, 50, 100, 150)]))
    assert said == pytest.approx([0.0, 0.415, 0.83, 0.83])


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
_models: st.SearchStrategy[Model] = st.one_of(
    st.builds(by_opcodes, _courses),
    st.builds(of_copy, _volumes),
    st.builds(of_checkpoint, _volumes),
    st.builds(of_vacuum, _volumes, wal=st.booleans(), in_memory=st.booleans()),
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


def test_a_report_says_where_the_statement_will_be_when_it_is_read() -> None:
    model = by_opcodes(((0, 0), (100_000, 1)))
    samples = [replace(START, elapsed=seconds, ticks=ticks) for seconds, ticks in ((0.05, 10_000), (0.3, 20_000))]
    assert fractions(told(model, samples)) == pytest.approx([0.2, 0.3])
