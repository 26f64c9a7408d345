"""Windows that cannot hold their work are found by how long the last runs took."""

from __future__ import annotations

from engine.config.parser import parse_config
from engine.domain.past_runs import EstimatedRun
from engine.domain.requests import Operation
from engine.schedules.tight_windows import tight_windows
from tests.engine.domain.test_due_times import at

NOON = at("2026-11-27T12:00")
HOUR = 3600.0


def schedule(name: str, pattern: str, *, start: str = "0 1 * * *", more: str = 'until = "05:00"') -> str:
    return (
        f'[schedules.{name}]\ntargets = ["{pattern}"]\noperations = ["vacuum"]\nstart = "{start}"\n{more}\n'
        'timezone = "Europe/Berlin"\n'
    )


def run(name: str, hours: float, operation: Operation = Operation.VACUUM) -> EstimatedRun:
    return EstimatedRun(f"sqlite:///srv/{name}.db", operation, estimate=1, seconds=hours * HOUR)


def found(
    text: str, *runs: EstimatedRun, workers: int = 1, disabled: tuple[str, ...] = ()
) -> list[tuple[str, int, int, int]]:
    config = parse_config(text, "f")
    tight = tight_windows(config, NOON, disabled=disabled, runs=runs, workers=workers)
    return [(one.schedule.name, one.opens_at, one.targets, one.left) for one in tight]


def test_work_that_took_longer_than_the_window_is_told() -> None:
    runs = [run("a1", 3), run("a2", 3), run("a3", 0.5), run("other", 9), run("a3", 9, Operation.CHECK)]
    text = schedule("nightly", "/srv/a*.db")
    assert found(text, *runs) == [("nightly", at("2026-11-28T01:00"), 3, 1)]
    assert found(text, *runs, workers=2) == []
    assert found(text, *runs, disabled=("nightly",)) == []


def test_nothing_is_told_where_nothing_is_known() -> None:
    assert found(schedule("nightly", "/srv/a*.db")) == []
    assert found(schedule("nightly", "/srv/a*.db"), run("other", 9)) == []
    assert found(schedule("nightly", "/srv/a*.db", more=""), run("a1", 99)) == []
    needed = schedule("nightly", "/srv/a*.db").replace('["vacuum"]', '"needed"')
    assert found(needed, run("a1", 99)) == []


def test_the_usual_time_counts() -> None:
    assert found(schedule("nightly", "/srv/a*.db"), run("a1", 1), run("a1", 9), run("a1", 1)) == []


def test_other_schedules_need_the_same_workers() -> None:
    runs = [run("a1", 3), run("b1", 3)]
    both = schedule("a", "/srv/a*.db") + schedule("b", "/srv/b*.db", start="0 0 * * *", more="")
    assert found(both, *runs) == [("a", at("2026-11-28T01:00"), 1, 1)]
    assert found(both, *runs, workers=2) == []
    assert found(both, *runs, disabled=("b",)) == []
