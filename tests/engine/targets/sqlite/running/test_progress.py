from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.jobs import WRITING_BACK
from engine.targets.sqlite.running.progress import (
    COPYING,
    Estimate,
    Model,
    Sample,
    by_opcodes,
    of_checkpoint,
    of_copy,
    of_vacuum,
)

MB = 1_000_000
START = Sample(elapsed=inf, ticks=0, read=0, written=0, side_file=0, temporary=0, memory=21 * MB)
VOLUME = 174 * MB

# Megabytes read, written, in the side file, in the temporary file and in memory, at equal intervals: as recorded from
# real VACUUMs of one database.
IN_PLACE_IN_MEMORY = (
    (31.5, 0, 0, 0, 46.1), (81.1, 0, 0, 0, 85.4), (120.9, 0, 0, 0, 118), (174, 1.8, 1.8, 0, 166.6),
    (201.6, 51.5, 26.7, 0, 166.6), (212.2, 72.8, 37.3, 0, 166.6), (233.5, 115.4, 58.7, 0, 166.6),
    (269, 186.4, 94.2, 0, 166.6), (304.4, 257.5, 129.8, 0, 166.6), (312.4, 275.1, 137.7, 0, 166.6),
)  # fmt: skip
IN_PLACE_IN_A_FILE = (
    (57.1, 44.5, 0, 44.5, 21.2), (94.5, 69.5, 0, 69.5, 21.2), (147.1, 113.3, 0, 113.3, 21.2),
    (182.9, 141.6, 4, 135.4, 21.2), (210.5, 169.2, 17.8, 135.4, 21.2), (243.5, 202.2, 34.3, 135.4, 21.2),
    (274.4, 233.2, 49.8, 135.4, 21.2), (299.2, 258, 62.2, 135.4, 21.2), (334.7, 293.5, 80, 135.4, 21.2),
    (370.1, 329, 97.8, 135.4, 21.2), (405.6, 364.6, 115.6, 135.4, 21.2), (447.9, 410.6, 137.7, 0, 21.2),
)  # fmt: skip
WAL_IN_MEMORY = (
    (51.6, 0, 0, 0, 63.9), (90, 0, 0, 0, 92.2), (121.3, 0, 0, 0, 118.5), (171, 0, 0, 0, 162.4),
    (225.3, 48.8, 48.8, 0, 166.6), (277.2, 101, 101, 0, 166.6), (312.4, 138.2, 138.2, 0, 166.6),
    (388.5, 214.4, 138.2, 0, 151.1),
)  # fmt: skip


def vacuum(*, wal: bool = False, in_memory: bool = False) -> Model:
    return of_vacuum(VOLUME, wal=wal, in_memory=in_memory)


def recorded(rows: Sequence[tuple[float, ...]]) -> list[Sample]:
    samples = []
    for read, written, side_file, temporary, memory in rows:
        samples.append(
            replace(
                START,
                read=int(read * MB),
                written=int(written * MB),
                side_file=int(side_file * MB),
                temporary=int(temporary * MB),
                memory=int(memory * MB),
            )
        )
    return samples


def told(model: Model, samples: Sequence[Sample]) -> list[Estimate]:
    return [model.update(sample) for sample in samples]


def fractions(estimates: Sequence[Estimate]) -> list[float]:
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
    assert phases == [COPYING] * 4 + [WRITING_BACK] * 7


def test_a_log_that_is_there_already_is_no_writing_back() -> None:
    model = vacuum(wal=True)
    before = replace(START, side_file=4 * MB)
    assert {estimate.phase for estimate in told(model, [before, replace(before, read=VOLUME // 2)])} == {COPYING}


def test_a_temporary_database_of_no_plausible_size_is_taken_for_as_large_as_what_was_copied() -> None:
    model = vacuum(in_memory=True)
    model.update(START)
    turn = replace(START, read=VOLUME, written=0, side_file=MB, memory=START.memory)  # memory that was free already
    half = replace(turn, written=VOLUME)
    (begun, half_way) = fractions(told(model, [turn, half]))
    assert begun == pytest.approx(0.42)
    assert half_way == pytest.approx(0.42 + 0.58 * 0.46)


def test_what_the_system_does_not_tell_is_not_made_up() -> None:
    unknown = replace(START, ticks=10_000, read=None, written=None, memory=None)
    assert vacuum().update(unknown) == Estimate()
    assert of_copy(VOLUME).update(unknown) == Estimate()
    assert by_opcodes(()).update(unknown) == Estimate()


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
    assert of_checkpoint(100 * MB).update(replace(START, written=None)) == Estimate()


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
        temporary=_number,
        memory=_maybe,
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
