"""Windows that cannot hold their work are found by how long the last runs took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.config.parser import parse_config
from engine.domain.engines import EngineName
from engine.domain.past_runs import EstimatedRun
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from engine.history.estimates import RUNS
from engine.schedules.tight_windows import tight_windows
from tests.engine.domain.test_due_times import at

NOON = at("2026-11-27T12:00")
HOUR = 3600.0


def schedule(name: str, pattern: str, *, start: str = "0 1 * * *", more: str = 'until = "05:00"') -> str:
    return (
        f'[schedules.{name}]\ntargets = ["{pattern}"]\noperations = ["vacuum"]\nstart = "{start}"\n{more}\n'
        'timezone = "Europe/Berlin"\n'
    )


NEEDED = schedule("nightly", "/srv/a*.db").replace('["vacuum"]', '"needed"')


def run(
    name: str,
    hours: float,
    operation: Operation = Operation.VACUUM,
    *,
    size: float | None = None,
    options: Options = DEFAULT_OPTIONS,
) -> EstimatedRun:
    return EstimatedRun(f"sqlite:///srv/{name}.db", operation, 1, hours * HOUR, size=size, options=options)


def found(
    text: str,
    *runs: EstimatedRun,
    workers: int = 1,
    disabled: tuple[str, ...] = (),
    surveys: Mapping[str, Survey] | None = None,
) -> list[tuple[str, int, int, int]]:
    config = parse_config(text, "f")
    tight = tight_windows(config, NOON, disabled=disabled, runs=runs, surveys=surveys or {}, workers=workers)
    assert all((one.next is None) == (one.schedule.until is not None) for one in tight)
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
    assert found(NEEDED, run("a1", 99)) == []


def survey(name: str, cause: SurveyCause, level: FleetLevel = FleetLevel.NOW) -> dict[str, Survey]:
    target = f"sqlite:///srv/{name}.db"
    reasons = (SurveyReason(level, cause),)
    return {target: Survey(target=target, engine=EngineName.SQLITE, surveyed_at=NOON, level=level, reasons=reasons)}


def test_of_what_is_needed_the_last_survey_counts() -> None:
    runs = [run("a1", 3), run("a1", 2, Operation.CHECK), run("a2", 3)]
    both = survey("a1", SurveyCause.RECLAIMABLE) | survey("a2", SurveyCause.RECLAIMABLE, FleetLevel.SOON)
    assert found(NEEDED, *runs, surveys=both) == [("nightly", at("2026-11-28T01:00"), 2, 1)]
    assert found(NEEDED, *runs, surveys=survey("a1", SurveyCause.RECLAIMABLE)) == []
    assert found(NEEDED, *runs, surveys=both | survey("a2", SurveyCause.RECLAIMABLE, FleetLevel.SMALL)) == []
    assert found(NEEDED, run("a1", 5), surveys=survey("a1", SurveyCause.NEVER_CHECKED, FleetLevel.UNCHECKED)) == []


def test_one_without_an_end_is_told_if_it_still_runs_when_it_is_due_again() -> None:
    endless = schedule("nightly", "/srv/a*.db", more="")
    assert found(endless, run("a1", 25)) == [("nightly", at("2026-11-28T01:00"), 1, 1)]
    assert found(endless, run("a1", 23)) == []
    assert found(endless, run("a1", 13), run("a2", 13)) == [("nightly", at("2026-11-28T01:00"), 2, 1)]
    assert found(endless, run("a1", 13), run("a2", 13), workers=2) == []


def test_one_without_an_end_is_told_if_the_next_schedule_finds_no_worker() -> None:
    both = schedule("nightly", "/srv/a*.db", more="") + schedule("b", "/srv/b*.db", start="0 4 * * *", more="")
    assert found(both, run("a1", 4)) == [("nightly", at("2026-11-28T01:00"), 1, 1)]
    assert found(both, run("a1", 4), workers=2) == []
    assert found(both, run("a1", 2)) == []


def test_the_usual_time_counts() -> None:
    assert found(schedule("nightly", "/srv/a*.db"), run("a1", 1), run("a1", 9), run("a1", 1)) == []


def test_runs_count_as_in_a_plan_the_newest_with_such_options_and_by_size() -> None:
    nightly, told = schedule("nightly", "/srv/a*.db"), [("nightly", at("2026-11-28T01:00"), 1, 1)]
    assert found(nightly, *[run("a1", 1)] * RUNS, *[run("a1", 9)] * 2 * RUNS) == []
    assert found(nightly, run("a1", 9, options=Options(swap=True)), run("a1", 1)) == []
    assert found(nightly, run("a1", 9, options=Options(swap=True))) == []
    grown = survey("a1", SurveyCause.RECLAIMABLE)
    grown = {name: replace(one, size=500) for name, one in grown.items()}
    assert found(nightly, run("a1", 1, size=100), surveys=grown) == told
    assert found(nightly, run("a1", 1, size=100)) == []
    needed = run("a1", 9, options=Options(objects=("t",)))
    assert found(NEEDED, needed, run("a1", 1), surveys=grown) == told


def test_other_schedules_need_the_same_workers() -> None:
    runs = [run("a1", 3), run("b1", 3)]
    both = schedule("a", "/srv/a*.db") + schedule("b", "/srv/b*.db", start="0 0 * * *", more="")
    a, b = ("a", at("2026-11-28T01:00"), 1, 1), ("b", at("2026-11-28T00:00"), 1, 1)
    assert found(both, *runs) == [a, b]
    assert found(both, *runs, workers=2) == []
    assert found(both, *runs, disabled=("b",)) == []
