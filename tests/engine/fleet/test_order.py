"""The order in which many targets are maintained."""

from __future__ import annotations

from engine.domain.batches import Order
from engine.domain.engines import EngineName
from engine.domain.job_outcomes import JobOutcome
from engine.domain.surveys import FleetLevel, LastJob, Survey
from engine.fleet.order import in_order


def survey(name: str, level: FleetLevel, size: int | None, reclaimable: int = 0) -> Survey:
    return Survey(target=name, engine=EngineName.SQLITE, surveyed_at=0, level=level, size=size, reclaimable=reclaimable)


SURVEYS = {
    "small": survey("small", FleetLevel.OK, 10),
    "large": survey("large", FleetLevel.NOW, 1000, 5),
    "middle": survey("middle", FleetLevel.NOW, 100, 50),
    "gone": survey("gone", FleetLevel.UNREACHABLE, None),
}
JOBS = {
    "small": LastJob(1, JobOutcome.COMPLETED, 50, 50, 2),  # as if the clock had been set back
    "large": LastJob(4, JobOutcome.PENDING, None, 100, 1),  # and an earlier one ran
    "middle": LastJob(3, JobOutcome.FAILED, 200, None),  # it never began
    "gone": None,  # a damaged row
}
NAMES = [(name, name) for name in ("gone", "never", "small", "large", "middle")]


def test_each_order() -> None:
    def ordered(order: Order) -> list[str]:
        return list(in_order(NAMES, order, SURVEYS, JOBS))

    assert ordered(Order.URGENT) == ["middle", "large", "small", "never", "gone"]
    assert ordered(Order.SMALLEST) == ["small", "middle", "large", "gone", "never"]
    assert ordered(Order.LARGEST) == ["large", "middle", "small", "gone", "never"]
    assert ordered(Order.OLDEST) == ["gone", "never", "middle", "large", "small"]
