"""How long things will take, by how long they took before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.engines import EngineName
from engine.domain.jobs import ChildJob, ParentJob
from engine.domain.past_runs import EstimatedRun, PastStep
from engine.domain.requests import CheckLevel, Operation, Options, Request, ServerOptions
from engine.domain.statuses import Status
from engine.history.estimates import (
    EARLIER_RUNS,
    expected_seconds,
    first_guess,
    suffice,
    with_estimates,
    with_past_durations,
)
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import OperationPlan, PlannedStep

MB = 1_000_000


def job(
    seconds: float,
    size: float | None = 100 * MB,
    *,
    operation: Operation = Operation.VACUUM,
    status: Status = Status.COMPLETED,
    options: Options | None = None,
) -> ParentJob:
    child = ChildJob(
        parent_id=1,
        ordinal=1,
        operation=operation,
        status=status,
        started_at=1,
        finished_at=1 + round(seconds * 1e6),
        before=None if size is None else {"size": size},
    )
    request = Request(target="sales.db", operations=(operation,), options=options or Options())
    return ParentJob(id=1, engine=EngineName.SQLITE, request=request, status=status, created_at=1, children=(child,))


def expected(*jobs: ParentJob, size: int = 100 * MB, options: Options | None = None) -> float | None:
    operation = jobs[0].children[0].operation if jobs else Operation.VACUUM
    return expected_seconds(operation, options or Options(), jobs, {"size": size})


def test_without_history_nothing_is_known() -> None:
    assert expected() is None
    assert expected_seconds(Operation.ANALYZE, Options(), [job(3)], {"size": 1}) is None


def test_the_median_of_the_newest_five() -> None:
    assert expected(job(2), job(90), job(4)) == 4
    assert expected(job(1), job(2), job(3), job(4), job(5), job(900), job(900), job(900)) == 3


def test_in_proportion_to_the_size() -> None:
    assert expected(job(4, 200 * MB), size=100 * MB) == 2
    assert expected(job(4, None), size=100 * MB) == 4


def test_what_was_waited_for_others_does_not_count() -> None:
    (child,) = (waited := job(44)).children
    assert expected(replace(waited, children=(replace(child, after={"waited": 40.0}),))) == 4


def test_five_runs_that_count_are_enough_to_read() -> None:
    failed = [job(1, status=Status.FAILED)] * 9
    assert not suffice(Operation.VACUUM, Options(), [job(1)] * 4 + failed)
    assert suffice(Operation.VACUUM, Options(), [job(1)] * 4 + failed + [job(1)])
    assert not suffice(Operation.REINDEX, Options(), [job(1)] * 5)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.SKIPPED])
def test_what_did_not_complete_tells_nothing(status: Status) -> None:
    assert expected(job(1, status=status), job(7)) == 7


def test_a_run_on_some_tables_says_nothing_of_one_on_all() -> None:
    some, schema = Options(objects=("item",)), Options(server=ServerOptions(schemas=("public",)))
    runs = [job(1, options=some), job(3, options=schema), job(9)]
    assert [expected(*runs, options=options) for options in (some, schema, None)] == [1, 3, 9]


def test_only_runs_of_the_same_extent_are_compared() -> None:
    quick, full = Options(check=CheckLevel.QUICK), Options(check=CheckLevel.FULL)
    checks = [job(1, operation=Operation.CHECK, options=quick), job(9, operation=Operation.CHECK, options=full)]
    assert expected(*checks, options=quick) == 1
    assert expected(*checks) == 9  # a check that was asked for is full
    some = [job(1, operation=Operation.REINDEX, options=Options(objects=("i",))), job(9, operation=Operation.REINDEX)]
    assert expected(*some) == 9
    sampled = [job(1, operation=Operation.ANALYZE, options=Options(analysis_limit=400))]
    assert expected(*sampled) is None
    assert expected(job(5, options=Options(lock_timeout=60))) == 5


def plan(*estimates: float | None, parallel: int = 1) -> OperationPlan:
    steps = tuple(
        PlannedStep(object=f"i{n}", command=f"REINDEX i{n}", reason="", lock=NO_LOCK, estimate=estimate)
        for n, estimate in enumerate(estimates)
    )
    return OperationPlan(operation=Operation.REINDEX, steps=steps, parallel=parallel)


def estimates(planned: OperationPlan, *jobs: ParentJob) -> list[float | None]:
    return [step.estimate for step in with_estimates(planned, jobs, Options(), {"size": 100 * MB}).steps]


def test_steps_keep_their_shares() -> None:
    before = job(8, operation=Operation.REINDEX)
    assert estimates(plan(1, 3), before) == [2, 6]
    assert estimates(plan(None, None), before) == [4, 4]
    assert estimates(plan(1, None, 3), before) == [pytest.approx(8 / 6), pytest.approx(16 / 6), pytest.approx(4)]
    assert estimates(plan(0.0, 0.0), before) == [0.0, 0.0]


def test_steps_that_run_side_by_side_take_longer_each() -> None:
    assert estimates(plan(1, 1, parallel=2), job(8, operation=Operation.REINDEX)) == [8, 8]


def test_without_history_a_plan_stays_as_it_is() -> None:
    planned = plan(1, 3)
    assert with_estimates(planned, [], Options(), {}) == planned


def test_a_plan_says_what_its_estimates_go_by() -> None:
    operation = with_estimates(plan(1), [job(8, operation=Operation.REINDEX)], Options(), {})
    assert operation.estimated_from == EARLIER_RUNS


@given(
    st.lists(st.none() | st.floats(0.001, 1e4), min_size=1, max_size=8),
    st.integers(1, 4),
    st.floats(0.01, 1e5),
)
def test_the_steps_come_to_what_it_took_before(shares: list[float | None], parallel: int, seconds: float) -> None:
    found = estimates(plan(*shares, parallel=parallel), job(seconds, operation=Operation.REINDEX))
    known = [estimate for estimate in found if estimate is not None]
    assert len(known) == len(shares)
    assert max(sum(known) / parallel, max(known)) == pytest.approx(seconds, rel=1e-3)


def test_a_step_takes_as_long_as_its_command_did_and_the_others_keep_their_shares() -> None:
    past = {"REINDEX i0": PastStep(6.0, (1, 2)), "REINDEX i1": PastStep(2.0), "REINDEX gone": PastStep(90.0)}
    assert [step.past_course for step in with_past_durations(plan(1, 3, 1).steps, past)] == [(1, 2), (), ()]
    assert [step.estimate for step in with_past_durations(plan(1, 3, 1).steps, past)] == [6, 2, 2]
    assert [step.estimate for step in with_past_durations(plan(None, None, 5).steps, past)] == [6, 2, 5]
    assert with_past_durations(plan(1, 3).steps, {}) == plan(1, 3).steps


def test_a_plan_goes_by_what_each_step_took() -> None:
    past = {"REINDEX i0": PastStep(3.0, objects=("i0",)), "REINDEX i1": PastStep(1.0, objects=("i1",))}
    before = {"size": 100 * MB}

    def planned(*steps: float, size: int = 100 * MB) -> list[float | None]:
        jobs = [job(8, size, operation=Operation.REINDEX)]
        return [step.estimate for step in with_estimates(plan(*steps), jobs, Options(), before, past).steps]

    assert planned(1) == [8]
    assert planned(1, 1, 1) == [pytest.approx(4), pytest.approx(4 / 3), pytest.approx(8 / 3)]
    assert planned(1, 1) == [3, 1], "a run with other steps says nothing of these"
    assert planned(1, 1, size=50 * MB) == [6, 2]


def test_runs_on_other_tables_say_nothing_of_these() -> None:
    before = [job(8, operation=Operation.REINDEX)]
    other = {"REINDEX gone": PastStep(8.0, objects=("gone",))}
    assert with_estimates(plan(1, 3), before, Options(), {}, other) == plan(1, 3)
    small = other | {"REINDEX i0": PastStep(0.5, objects=("i0",))}
    assert not with_estimates(plan(1, 3), before, Options(), {}, small).estimated_from
    large = other | {"REINDEX i1": PastStep(0.5, objects=("i1",))}
    assert with_estimates(plan(1, 3), before, Options(), {}, large).estimated_from == EARLIER_RUNS
    same = {"REINDEX (VERBOSE) i0": PastStep(8.0, objects=("i0",))}
    assert with_estimates(plan(1), before, Options(), {}, same).estimate == 8


def test_runs_on_most_tables_of_a_step_say_how_long_it_takes_with_a_new_one() -> None:
    before = [job(8, operation=Operation.REINDEX)]
    names = tuple(f"i{n}" for n in range(30))
    past = {"REINDEX i0 -- and 29 more": PastStep(8.0, objects=names)}
    (step,) = plan(1).steps

    def planned(*objects: str) -> OperationPlan:
        group = replace(step, object=f"{len(objects)} small indexes", objects=objects, command="REINDEX i0 -- and more")
        return with_estimates(replace(plan(1), steps=(group,)), before, Options(), {}, past)

    assert planned(*names, "new").estimate == 8
    assert not planned("i0", "new", "other").estimated_from


def elsewhere(by_size: float, seconds: float, target: str = "sqlite:///b.db", *, operation: Operation) -> EstimatedRun:
    return EstimatedRun(target, operation, by_size, seconds)


def guessed(
    *runs: EstimatedRun, target: str = "sqlite:///a.db", engine: EngineName = EngineName.SQLITE
) -> float | None:
    planned = plan(1, 3)
    return first_guess(replace(planned, size_estimate=planned.estimate), target, engine, runs).estimate


def test_a_first_run_takes_as_much_longer_than_by_size_as_others_did_there() -> None:
    reindex, vacuum = Operation.REINDEX, Operation.VACUUM
    runs = [elsewhere(1, seconds, operation=reindex) for seconds in (2, 9, 3, 4)]
    assert guessed(*runs[:1]) == 8
    assert guessed(*runs) == 36  # as long as the slow ones: what is begun must end in time
    assert guessed(*runs, elsewhere(1, 50, operation=vacuum)) == 36
    assert guessed(elsewhere(1, 50, operation=vacuum)) == 200
    assert guessed(elsewhere(1, 0.1, operation=vacuum)) == 4, "another operation may be fast where this one is not"
    assert guessed(elsewhere(0.001, 0.05, operation=reindex)) == 4  # too short to say anything
    assert guessed(elsewhere(1, 0.0, operation=reindex)) == pytest.approx(0.004)


def test_runs_of_much_smaller_databases_do_not_scale_a_first_guess() -> None:
    small = [elsewhere(0.01, 0.3, operation=Operation.REINDEX)] * 9  # most of that is the same for any size
    assert guessed(*small) == 4
    assert guessed(*small, elsewhere(0.5, 1.0, operation=Operation.VACUUM)) == 8
    assert guessed(elsewhere(0.5, 5.0, operation=Operation.REINDEX)) == 40


def test_what_was_measured_elsewhere_counts_for_the_same_server_alone() -> None:
    here, there = "postgresql://dba@one:5432/", "postgresql://dba@two:5432/"
    run = elsewhere(1, 7, f"{here}sales", operation=Operation.REINDEX)
    assert guessed(run, target=f"{here}orders", engine=EngineName.POSTGRESQL) == 28
    assert guessed(run, target=f"{there}orders", engine=EngineName.POSTGRESQL) == 12
    assert guessed(run) == 4
    assert guessed(engine=EngineName.POSTGRESQL, target=f"{there}a") == 12


def test_a_first_guess_says_so() -> None:
    planned = replace(plan(1), size_estimate=1.0)
    run = elsewhere(1, 7, operation=Operation.REINDEX)
    sources = [first_guess(planned, "sqlite:///a.db", EngineName.SQLITE, runs).estimated_from for runs in ([], [run])]
    assert sources == ["a first guess: by size alone", "a first guess: by size, and by how long other runs took there"]
    assert first_guess(plan(None), "sqlite:///a.db", EngineName.SQLITE, [run]) == plan(None)
