"""Which targets a list shows, in order, also after changes of some of them."""

from __future__ import annotations

from dataclasses import replace

from engine.config.model import TargetEntry
from engine.domain.engines import EngineName
from engine.domain.surveys import FleetLevel, Survey
from engine.fleet.filters import fleet_filter
from tui.console.target_model import TargetModel
from tui.console.views.target_order import Sort, TargetOrder

DAY = 86_400 * 1_000_000


def survey(level: FleetLevel = FleetLevel.OK, *, reclaimable: int = 0, at: int = 1, checked_at: int = 0) -> Survey:
    return Survey(
        target="", engine=EngineName.SQLITE, surveyed_at=at, level=level, reclaimable=reclaimable, size=100,
        checked_at=checked_at,
    )  # fmt: skip


def model_of(count: int) -> TargetModel:
    return TargetModel(TargetEntry(name=f"t{n}", url=f"/t{n}.db") for n in range(count))


def names(model: TargetModel, numbers: list[int]) -> list[str]:
    return [model.states[number].entry.name for number in numbers]


def test_targets_that_change_take_their_place_among_the_others() -> None:
    model, order = model_of(4), TargetOrder()
    assert names(model, order.shown(model.states, Sort.LEVEL)) == ["t0", "t1", "t2", "t3"]
    model.set_survey(2, survey(FleetLevel.NOW), None)
    model.set_survey(1, survey(FleetLevel.OK, reclaimable=5), None)
    assert names(model, order.shown(model.states, Sort.LEVEL)) == ["t2", "t1", "t0", "t3"]
    model.set_survey(3, survey(FleetLevel.NOW, reclaimable=9), None)
    model.set_survey(2, survey(FleetLevel.OK), None)
    assert names(model, order.shown(model.states, Sort.LEVEL)) == ["t3", "t1", "t2", "t0"]
    model.add(TargetEntry(name="t10", url="/t10.db"))
    model.remove(1)
    assert names(model, order.shown(model.states, Sort.LEVEL)) == ["t3", "t2", "t0", "t10"]
    assert names(model, order.shown(model.states, Sort.NAME)) == ["t0", "t2", "t3", "t10"]


def test_a_target_leaves_a_filtered_list_and_comes_back() -> None:
    model, order = model_of(3), TargetOrder()
    where = fleet_filter(["level:now"])
    assert order.shown(model.states, Sort.SIZE, where) == []
    model.set_survey(1, survey(FleetLevel.NOW), None)
    model.set_survey(2, survey(FleetLevel.NOW), None)
    assert names(model, order.shown(model.states, Sort.SIZE, where)) == ["t1", "t2"]
    model.set_survey(1, survey(FleetLevel.OK), None)
    assert names(model, order.shown(model.states, Sort.SIZE, where)) == ["t2"]
    assert names(model, order.shown(model.states, Sort.SIZE)) == ["t1", "t2", "t0"]


def test_the_age_of_a_check_goes_with_the_clock() -> None:
    model, order = model_of(1), TargetOrder()
    where = fleet_filter(["checked:>30d"])
    model.set_survey(0, survey(checked_at=1), None)
    assert order.shown(model.states, Sort.NAME, where, now=29 * DAY) == []
    assert order.shown(model.states, Sort.NAME, where, now=31 * DAY) == [0]


def test_a_model_counts_levels_and_knows_its_oldest_survey() -> None:
    model = model_of(3)
    assert (sum(model.levels.values()), model.oldest_survey, model.has_schedules) == (0, None, False)
    model.set_survey(0, survey(FleetLevel.NOW, at=5), None)
    model.set_survey(1, survey(FleetLevel.NOW, at=3), None)
    model.set_stored(2, survey(FleetLevel.SOON, at=9), None, next_due=7)
    assert {level.value: count for level, count in model.levels.items() if count} == {"now": 2, "soon": 1}
    assert (model.oldest_survey, model.has_schedules) == (3, True)
    model.set_survey(1, survey(FleetLevel.OK, at=8), None)
    assert model.oldest_survey == 5
    model.remove(0)
    model.change(2, replace(model.states[2].entry, url="/other.db"))
    assert {level.value: count for level, count in model.levels.items() if count} == {"ok": 1}
    assert (model.oldest_survey, model.has_schedules) == (8, False)
