"""The JSON that scripts rely on."""

from __future__ import annotations

import json
from dataclasses import replace

from engine import (
    EngineName,
    JobId,
    Operation,
    OperationPlan,
    Options,
    Pause,
    Plan,
    PlannedStep,
    Progress,
    Reason,
    Status,
    WorkerProcess,
)
from engine.errors import TargetUnavailableError
from engine.jobs import FINISHING
from tests.tui.jobs import START, child, parent, rescued, vacuumed
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
    assert only["log"] == [
        {
            "number": 1,
            "attempt": 1,
            "at": "2023-11-14T22:13:20.000000Z",
            "level": "warning",
            "message": "hello\x1b[2J",
        }
    ]


def test_limits_and_pins_are_told() -> None:
    options = Options(time_limit=5400.0, until="06:00", stop_at_limit=True)
    job = parent(child())
    job = replace(job, request=replace(job.request, options=options), deadline_at=START, pinned=True)
    form = json_form.job(job)
    assert form["options"] == {
        "on_failure": "continue",
        "lock_timeout": 5.0,
        "time_limit": 5400.0,
        "until": "06:00",
        "stop_at_limit": True,
    }
    assert (form["deadline_at"], form["pinned"]) == ("2023-11-14T22:13:20.000000Z", True)
    plain = json_form.job(parent(child()))
    assert (plain["deadline_at"], plain["pinned"], plain["options"]["time_limit"]) == (None, False, None)


def test_attempts_and_progress_are_told() -> None:
    job = replace(
        rescued(), progress=Progress(fraction=0.5, object="orders", steps_done=1, steps_total=2, phase=FINISHING)
    )
    form = json_form.child(job)
    assert form["attempts"] == [
        {
            "number": 1,
            "pid": 4711,
            "host": "db1",
            "started_at": "2023-11-14T22:13:20.000000Z",
            "finished_at": "2023-11-14T22:13:21.000000Z",
            "status": "failed",
            "reason": "owner_lost",
        },
        {
            "number": 2,
            "pid": 4712,
            "host": "db1",
            "started_at": "2023-11-14T22:13:22.000000Z",
            "finished_at": None,
            "status": "running",
            "reason": None,
        },
    ]
    assert form["progress"] == {
        "fraction": 0.5,
        "object": "orders",
        "phase": "finishing, cannot be interrupted",
        "steps_done": 1,
        "steps_total": 2,
    }


def test_a_pause_and_a_process() -> None:
    assert json_form.pause(None) == {"paused": None}
    assert json_form.pause(Pause(at=START, by="ann@db1")) == {
        "paused": {"at": "2023-11-14T22:13:20.000000Z", "by": "ann@db1"}
    }
    process = WorkerProcess(
        id="x", pid=7, host="db1", started_at=START, serves_all=True, alive=True, running=(JobId(42, 1),)
    )
    assert json_form.worker(process) == {
        "pid": 7,
        "host": "db1",
        "started_at": "2023-11-14T22:13:20.000000Z",
        "serves_all": True,
        "stalled": False,
        "running": ["42.1"],
    }


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
