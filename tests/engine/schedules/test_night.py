"""How a night goes by its estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.engines import EngineName
from engine.domain.requests import Operation, Options, Request
from engine.schedules.night import PlannedNight, PlannedOperation, PlannedTarget, PlannedWork, planned_night
from engine.schedules.preview import night_of
from engine.schedules.work import Work
from engine.targets.lock_impact import Lock, LockImpact
from engine.targets.plans import OperationPlan, Plan, PlannedStep
from tests.engine.domain.test_due_times import at, schedule

SECOND = 1_000_000


def operation(kind: Operation, *seconds: float | None, idle: str = "", fit: bool = True) -> PlannedOperation:
    """One with a step for each of these estimates."""
    steps = tuple(
        PlannedStep(object=f"t{n}", command="", reason="", lock=Lock(LockImpact.NONE), estimate=one)
        for n, one in enumerate(seconds)
    )
    return PlannedOperation(plan=OperationPlan(operation=kind, steps=steps), idle=idle, fit=fit)


def target(name: str, *seconds: float | None, host: str | None = None, starts: int | None = None) -> PlannedTarget:
    operations = [operation(Operation.VACUUM, one) for one in seconds]
    return PlannedTarget(
        target=name, operations=operations, host=host, starts_at=None if starts is None else starts * SECOND
    )


def night(
    *targets: PlannedTarget,
    workers: int = 1,
    closes: int | None = None,
    max_per_host: int | None = None,
    canary: int | None = None,
    others: Sequence[PlannedWork] = (),
) -> PlannedNight:
    work = PlannedWork(
        schedule="nightly",
        targets=targets,
        opens_at=0,
        closes_at=None if closes is None else closes * SECOND,
        max_per_host=max_per_host,
        canary=canary,
    )
    return planned_night(work, workers=workers, beside=others)


def runs(found: PlannedNight) -> dict[str, list[tuple[float, float]]]:
    return {
        one.target.target: [(run.begins_at / SECOND, run.ends_at / SECOND) for run in one.runs] for one in found.targets
    }


def test_one_worker_does_one_after_the_other() -> None:
    assert runs(night(target("a", 2, 3), target("b", 1))) == {"a": [(0, 2), (2, 5)], "b": [(5, 6)]}


def test_several_workers_take_the_next_as_they_are_free() -> None:
    found = runs(night(target("a", 5), target("b", 1), target("c", 2), target("d", 1), workers=2))
    assert found == {"a": [(0, 5)], "b": [(0, 1)], "c": [(1, 3)], "d": [(3, 4)]}


def test_what_would_end_after_the_window_is_not_begun_and_the_next_that_fits_is() -> None:
    found = night(target("a", 4), target("b", 9, 1), target("c", 5, 1), closes=10)
    assert runs(found) == {"a": [(0, 4)], "b": [(4, 5)], "c": [(5, 10)]}
    assert [len(one.not_begun) for one in found.targets] == [0, 1, 1]


def test_starts_servers_and_canaries_are_waited_for() -> None:
    assert runs(night(target("a", 1, starts=9), target("b", 1))) == {"b": [(0, 1)], "a": [(9, 10)]}
    on_server = [target(name, 2, host="db1") for name in "abc"]
    assert runs(night(*on_server, target("f", 1), workers=3, max_per_host=1)) == {
        "a": [(0, 2)],
        "f": [(0, 1)],
        "b": [(2, 4)],
        "c": [(4, 6)],
    }
    assert runs(night(target("a", 3), target("b", 1), workers=2, canary=1)) == {"a": [(0, 3)], "b": [(3, 4)]}


def beside(
    *targets: PlannedTarget, opens: int = 0, closes: int | None = None, per_host: int | None = None
) -> PlannedWork:
    return PlannedWork(
        schedule="other",
        targets=targets,
        opens_at=opens * SECOND,
        closes_at=None if closes is None else closes * SECOND,
        max_per_host=per_host,
    )


def test_the_work_of_other_schedules_needs_the_same_workers() -> None:
    mine = (target("a", 4), target("b", 4))
    assert not night(*mine, closes=10, others=[]).targets[1].not_begun
    found = night(*mine, closes=10, others=[beside(target("x", 5), opens=-2)])
    assert (runs(found), found.beside) == ({"a": [(3, 7)], "b": []}, ["other"])
    assert [len(one.not_begun) for one in found.targets] == [0, 1]
    assert runs(night(*mine, workers=2, others=[beside(target("x", 5), opens=-2)])) == {"a": [(0, 4)], "b": [(3, 7)]}
    later = beside(target("x", 5), target("y", 5), opens=2, closes=6)
    assert runs(night(*mine, workers=1, others=[later])) == {"a": [(0, 4)], "b": [(4, 8)]}


def test_open_jobs_need_the_same_workers_until_they_end() -> None:
    mine = (target("a", 4), target("b", 4))
    ended, late = target("x", 1), target("y", 9, starts=-4)
    jobs = replace(beside(ended, late, target("z", 2, starts=3), opens=-9), schedule=None)
    found = night(*mine, others=[jobs])
    assert (runs(found), found.open_jobs, found.beside) == ({"a": [(7, 11)], "b": [(11, 15)]}, 2, [])


def test_the_targets_and_servers_of_other_schedules_are_waited_for() -> None:
    assert runs(night(target("a", 1), target("b", 1), workers=2, others=[beside(target("a", 5), opens=-2)])) == {
        "b": [(0, 1)],
        "a": [(3, 4)],
    }
    mine, other = target("a", 1, host="db1"), target("x", 5, host="db1")
    limited = beside(other, opens=-2, per_host=1)
    assert runs(night(mine, workers=2, max_per_host=1, others=[limited])) == {"a": [(3, 4)]}
    assert runs(night(mine, workers=2, max_per_host=1, others=[beside(other, opens=-2)])) == {"a": [(0, 1)]}


def test_an_operation_of_unknown_length_takes_no_time_and_says_so() -> None:
    (found,) = night(target("a", None, 2)).targets
    assert [(run.ends_at / SECOND, run.is_known) for run in found.runs] == [(0, False), (2, True)]


def test_what_is_refused_or_not_needed_is_left_out() -> None:
    idle = operation(Operation.CHECK, idle="nothing to do")
    found = night(PlannedTarget(target="a", operations=[idle]), PlannedTarget(target="b", problem="unreachable"))
    assert runs(found) == {"a": [], "b": []}
    assert found.ends_at == found.opens_at == 0


def test_an_operation_of_which_some_steps_fit_is_done_in_part_as_it_will_run() -> None:
    one = PlannedTarget(
        target="a", operations=[operation(Operation.REINDEX, 4, 9, 5, 3), operation(Operation.CHECK, 1)]
    )
    (found,) = night(one, closes=10).targets
    assert [(run.operation, run.ends_at / SECOND, run.left_steps) for run in found.runs] == [
        (Operation.REINDEX, 9, 2),
        (Operation.CHECK, 10, 0),
    ]
    assert found.not_begun == []


def test_what_need_not_fit_is_begun_and_ends_with_the_window() -> None:
    one = PlannedTarget(target="a", operations=[operation(Operation.VACUUM, 99, fit=False)])
    (found,) = night(one, closes=10).targets
    assert [(run.ends_at / SECOND, run.left_steps) for run in found.runs] == [(10, 0)]


@pytest.mark.parametrize("fit", [True, False])
async def test_whether_it_must_fit_is_what_its_request_says(fit: bool) -> None:
    async def plan(request: Request) -> Plan:
        steps = operation(Operation.VACUUM, 36_000).plan
        return Plan(target=request.target, engine=EngineName.SQLITE, before={}, operations=(steps,))

    request = Request(target="sqlite:///a.db", operations=(Operation.VACUUM,), options=Options(fit=fit))
    windowed = replace(schedule("0 1 * * *"), until="05:00")
    due = at("2026-11-28T01:00")
    found = await night_of(windowed, Work(requests=[request]), plan, due, workers=1, is_shared=False)
    (one,) = found.targets
    assert [run.ends_at for run in one.runs] == ([] if fit else [found.closes_at])
    assert len(one.not_begun) == fit


TARGETS = st.lists(
    st.tuples(
        st.lists(st.one_of(st.none(), st.integers(0, 50)), max_size=3),
        st.sampled_from([None, "db1", "db2"]),
        st.one_of(st.none(), st.integers(0, 90)),
    ),
    max_size=12,
)


@given(TARGETS, st.integers(1, 4), st.one_of(st.none(), st.integers(1, 100)), st.one_of(st.none(), st.integers(1, 2)))
def test_any_night_keeps_to_its_workers_servers_starts_and_window(
    drawn: Sequence[tuple[Sequence[int | None], str | None, int | None]],
    workers: int,
    closes: int | None,
    per_host: int | None,
) -> None:
    targets = [target(f"t{n}", *seconds, host=host, starts=at) for n, (seconds, host, at) in enumerate(drawn)]
    found = night(*targets, workers=workers, closes=closes, max_per_host=per_host, canary=1)
    assert sorted(one.target.target for one in found.targets) == sorted(one.target for one in targets)
    spans = [(one.runs[0].begins_at, one.runs[-1].ends_at, one.target.host) for one in found.targets if one.runs]
    for begin, _, _ in spans:
        now = [host for b, e, host in spans if b <= begin < e]
        assert len(now) <= workers
        for host in {"db1", "db2"}:
            assert per_host is None or now.count(host) <= per_host
    for one in found.targets:
        assert all(before.ends_at == after.begins_at for before, after in pairwise(one.runs))
        assert all(run.begins_at >= (one.target.starts_at or 0) for run in one.runs)
        assert closes is None or all(run.ends_at <= closes * SECOND for run in one.runs)
        assert len(one.runs) + len(one.not_begun) == len(one.target.operations)
