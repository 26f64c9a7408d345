"""How a night goes by its estimates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.requests import Operation
from engine.schedules.night import PlannedNight, PlannedOperation, PlannedTarget, planned_night

SECOND = 1_000_000


def target(name: str, *seconds: float | None, host: str | None = None, starts: int | None = None) -> PlannedTarget:
    operations = [PlannedOperation(operation=Operation.VACUUM, seconds=one) for one in seconds]
    return PlannedTarget(
        target=name, operations=operations, host=host, starts_at=None if starts is None else starts * SECOND
    )


def night(
    *targets: PlannedTarget,
    workers: int = 1,
    closes: int | None = None,
    max_per_host: int | None = None,
    canary: int | None = None,
) -> PlannedNight:
    return planned_night(
        targets,
        opens_at=0,
        closes_at=None if closes is None else closes * SECOND,
        workers=workers,
        max_per_host=max_per_host,
        canary=canary,
    )


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


def test_an_operation_of_unknown_length_takes_no_time_and_says_so() -> None:
    (found,) = night(target("a", None, 2)).targets
    assert [(run.ends_at / SECOND, run.is_known) for run in found.runs] == [(0, False), (2, True)]


def test_what_is_refused_or_not_needed_is_left_out() -> None:
    idle = PlannedOperation(operation=Operation.CHECK, idle="nothing to do")
    found = night(PlannedTarget(target="a", operations=[idle]), PlannedTarget(target="b", problem="unreachable"))
    assert runs(found) == {"a": [], "b": []}
    assert found.ends_at == found.opens_at == 0


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
