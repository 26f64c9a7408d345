"""The plans of several targets on one page."""

from __future__ import annotations

from dataclasses import replace

from engine import EngineName, OperationPlan, Plan, PlannedStep, Request
from engine.domain.errors import TargetBusyError, TargetUnavailableError
from engine.domain.requests import Operation
from engine.targets.lock_impact import NO_LOCK
from tui.console.views.line import Role
from tui.console.views.plans_document import (
    FoldedPlans,
    PlannedTarget,
    PlanRequest,
    plans_document,
)
from tui.presentation.plan_totals import disk_needed
from tui.presentation.target_names import TargetName

REQUEST = Request(target="a", operations=(Operation.VACUUM,))


def operation(
    *, needs: int | None = None, estimate: float | None = 2.0, warnings: tuple[str, ...] = ()
) -> OperationPlan:
    step = PlannedStep(object="main", command="VACUUM", reason="", lock=NO_LOCK, disk_needed=needs, estimate=estimate)
    return OperationPlan(operation=Operation.VACUUM, steps=(step,), warnings=warnings)


def looked(name: str, *operations: OperationPlan, label: str | None = None) -> PlannedTarget:
    plan = Plan(target=name, engine=EngineName.SQLITE, before={}, operations=operations)
    return PlannedTarget(PlanRequest(TargetName(name, label), REQUEST), plan)


def texts(*all_looked: PlannedTarget) -> list[str]:
    return [line.text for line in plans_document(all_looked, 120)]


REFUSED = OperationPlan(operation=Operation.VACUUM, refused="no room")


def test_the_top_says_what_all_of_it_comes_to() -> None:
    both = looked("a", operation(needs=3_000_000), operation(needs=2_000_000)), looked("b", operation(needs=10**6))
    assert texts(*both)[:2] == [
        "2 targets, 3 operations, needs 4.00 MB of disk space, about 6 s in all; nothing has run yet.",
        "no warnings",
    ]
    assert both[0].plan is not None
    assert disk_needed(both[0].plan) == 3_000_000  # its steps come one after another


def test_where_nothing_runs_that_is_all_that_the_top_says() -> None:
    idle = PlannedTarget(PlanRequest(TargetName("a"), None, "nothing is needed"))
    assert texts(idle)[:4] == ["Nothing to run on 1 target.", "", "a  skipped", "  nothing is needed"]


def test_the_worst_is_told() -> None:
    warned = looked("a", operation(warnings=("odd",)))
    assert texts(warned)[1] == "with warnings, see below"
    assert texts(warned, looked("b", REFUSED))[1] == "some operations would be refused, see below"
    assert texts(warned, looked("b", REFUSED))[0].startswith("1 target, 1 operation, needs almost no disk space")


def test_of_many_there_is_a_line_for_each_operation_below_the_totals() -> None:
    analyze = replace(operation(estimate=0.2), operation=Operation.ANALYZE)
    idle = OperationPlan(operation=Operation.ANALYZE)
    planned = [looked("a", operation(), analyze), looked("b", operation(), idle), looked("c", REFUSED)]
    planned[1] = replace(planned[1], plan=replace(planned[1].plan, before={"size": 30_000_000}))  # type: ignore[type-var]
    waiting = PlannedTarget(PlanRequest(TargetName("d"), REQUEST))
    said = [line.text for line in FoldedPlans([*planned, waiting]).document(120)]
    assert said[0].startswith("2 of 4 targets so far, 3 operations, ")
    assert said[2:4] == [
        "vacuum   2 databases of 30.0 MB, about 4 s, 1 refused",
        "analyze  1 database, less than 1 s, nothing to do on 1",
    ]
    assert all(len(line.text) <= 60 for line in FoldedPlans(planned).document(60))


def test_a_target_of_which_everything_is_refused_comes_first_with_the_reason() -> None:
    said = [line.text for line in FoldedPlans([looked("a", operation()), looked("b", REFUSED)]).document(80)]
    rows = [text.split(maxsplit=2)[1:] for text in said if text.startswith("► ")]
    assert rows[0] == ["b", "refused: no room"]
    assert rows[1][0] == "a"


def test_what_another_host_plans_is_not_counted_as_nothing_to_do() -> None:
    there = looked("far", OperationPlan(operation=Operation.VACUUM), OperationPlan(operation=Operation.BACKUP))
    assert there.plan is not None
    there = replace(there, plan=replace(there.plan, made_on="db2"))
    said = [line.text for line in FoldedPlans([looked("a", operation()), there]).document(120)]
    assert said[2:4] == [
        "vacuum  1 database, about 2 s, 1 planned elsewhere",
        "backup  1 planned elsewhere",
    ]
    assert any("planned on db2: vacuum backup" in text for text in said)


def test_what_cannot_be_planned_says_why_and_the_rest_is_there() -> None:
    gone = PlannedTarget(
        PlanRequest(TargetName("b", "PROD"), REQUEST), error=TargetUnavailableError("b", "there is no such file")
    )
    well = PlannedTarget(PlanRequest(TargetName("c"), None, "nothing is needed"))
    shown = plans_document([looked("a", operation()), gone, well], 120)
    said = [line.text for line in shown]
    assert said[2:6] == ["b [PROD]  unreachable", "  there is no such file", "c  skipped", "  nothing is needed"]
    assert (" [PROD]", Role.LABEL) in shown[2].spans
    assert said[6] == "Press a to plan again."
    assert "a" in said[9].split()
    assert "warnings" not in " ".join(texts(gone, well))


def test_a_locked_target_is_no_skipped_one() -> None:
    locked = PlannedTarget(PlanRequest(TargetName("b"), REQUEST), error=TargetBusyError("b", "process 7 has locked it"))
    said = texts(looked("a", operation()), locked)
    assert said[2:4] == ["b  locked, not planned", "  process 7 has locked it"]
    assert said[4].startswith("Press a to plan again.")
    plans = FoldedPlans([looked("a", operation()), locked])
    plans.put(1, locked)
    assert "1 locked, not planned" in [line.text for line in plans.document(80)]


def test_what_is_still_looked_at_says_so() -> None:
    waiting = PlannedTarget(PlanRequest(TargetName("b"), REQUEST))
    assert waiting.is_open
    assert texts(looked("a", operation()), waiting)[-1] == "Planning b ..."


def test_a_skipped_target_is_counted_once() -> None:
    skipped = PlannedTarget(PlanRequest(TargetName("idle"), None, "nothing is needed"))
    plans = FoldedPlans([looked("a", operation()), skipped])
    plans.put(1, skipped)
    assert "1 skipped" in [line.text for line in plans.document(80)]
