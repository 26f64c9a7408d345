"""The JSON that scripts rely on."""

from __future__ import annotations

import json

from engine import EngineName, Operation, OperationPlan, Plan, PlannedStep, Reason, Status
from engine.errors import TargetUnavailableError
from tests.tui.jobs import child, parent, vacuumed
from tui import json_form


def test_a_job_says_what_the_contract_names() -> None:
    form = json_form.job(vacuumed())

    assert {key: form[key] for key in ("id", "target", "engine", "status", "retry_of")} == {
        "id": 42,
        "target": "sqlite:///srv/sales.db",
        "engine": "sqlite",
        "status": "completed",
        "retry_of": None,
    }
    assert form["created_at"] == form["started_at"] == "2023-11-14T22:13:20.000000Z"
    assert form["finished_at"] == "2023-11-14T22:13:22.000000Z"
    (only,) = form["children"]
    contract: dict[str, object] = {
        "id": "42.1",
        "operation": "vacuum",
        "status": "completed",
        "reason": None,
        "error": None,
        "attempt": 1,
        "duration": 1.5,
        "warnings": [],
        "before": {"size": 24_100_000},
        "after": {"size": 14_300_000},
    }
    assert only.items() >= contract.items()
    (step,) = only["steps"]
    assert (
        step.items()
        >= {"object": "main", "command": "VACUUM", "status": "completed", "duration": 1.0, "error": None}.items()
    )
    assert "log" not in only
    json.dumps(form)


def test_the_log_comes_where_it_is_asked_for() -> None:
    (only,) = json_form.job(vacuumed(), with_log=True)["children"]
    assert only["log"] == [{"at": "2023-11-14T22:13:20.000000Z", "level": "warning", "message": "hello\x1b[2J"}]


def test_what_has_not_happened_is_null() -> None:
    (waiting, skipped) = json_form.job(
        parent(child(1, Status.PENDING), child(2, Status.SKIPPED, Reason.PREVIOUS_FAILED))
    )["children"]
    assert waiting["started_at"] is waiting["duration"] is waiting["before"] is waiting["reason"] is None
    assert skipped["reason"] == "previous_failed"
    assert skipped["duration"] is None


def test_a_plan_has_the_shape_of_a_job_without_status() -> None:
    step = PlannedStep(object="main", command="VACUUM", reason="31% free", lock="blocks everyone", disk_needed=9)
    plan = Plan(
        target="sqlite:///srv/sales.db",
        engine=EngineName.SQLITE,
        before={"size": 5},
        operations=(OperationPlan(operation=Operation.VACUUM, steps=(step,)),),
    )
    assert json_form.plan(plan) == {
        "target": "sqlite:///srv/sales.db",
        "engine": "sqlite",
        "before": {"size": 5},
        "children": [
            {
                "operation": "vacuum",
                "error": None,
                "steps": [
                    {
                        "object": "main",
                        "command": "VACUUM",
                        "reason": "31% free",
                        "lock": "blocks everyone",
                        "disk_needed": 9,
                        "estimate": None,
                    }
                ],
            }
        ],
    }


def test_an_error() -> None:
    problem = TargetUnavailableError("/srv/x.db", "there is no such file", "check the path")
    assert json_form.error(problem) == {
        "error": {"kind": "target", "message": "/srv/x.db: there is no such file", "hint": "check the path"}
    }
