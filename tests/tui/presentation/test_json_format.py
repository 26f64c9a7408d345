"""The JSON that scripts rely on."""

from __future__ import annotations

import json
from dataclasses import replace

from engine import (
    Advice,
    CheckLevel,
    Facts,
    JobId,
    Level,
    LogLine,
    Operation,
    Options,
    Pause,
    Progress,
    Reason,
    Status,
    WorkerProcess,
)
from engine.domain.errors import TargetUnavailableError
from engine.domain.steps import FINISHING, FOLLOWED, LogLevel
from tests.tui.jobs import START, child, parent, rescued, vacuumed
from tests.tui.plans import NOT_NEEDED, REFUSED, plan, reindex, vacuum
from tui.presentation import json_format


def test_a_job_says_what_the_contract_names() -> None:
    form = json_format.job(vacuumed())

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
    (only,) = json_format.job(vacuumed(), with_log=True)["children"]
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
    form = json_format.job(job)
    assert form["options"] == {
        "on_failure": "continue",
        "on_step_failure": "continue",
        "lock_timeout": 5.0,
        "time_limit": 5400.0,
        "until": "06:00",
        "stop_at_limit": True,
        "fit": True,
        "force": False,
        "verify": False,
        "check_first": False,
        "check": None,
        "jobs": None,
        "objects": [],
        "rebuild": [],
        "leave_out": [],
        "done": {},
        "analysis_limit": None,
        "backup_to": None,
        "keep": None,
        "swap": False,
        "sqlite": "system",
        "if_needed": None,
        "limits": None,
        "confirmed": False,
        "server": {},
    }
    at = "2023-11-14T22:13:20.000000Z"
    assert form["window"] == {"opens_at": at, "closes_at": at, "fit": True}
    assert (form["deadline_at"], form["pinned"]) == ("2023-11-14T22:13:20.000000Z", True)
    plain = json_format.job(parent(child()))
    assert plain["window"] is None
    assert (plain["deadline_at"], plain["pinned"], plain["options"]["time_limit"]) == (None, False, None)


def test_how_operations_do_their_work_is_told() -> None:
    options = Options(
        force=True, verify=True, check=CheckLevel.QUICK, jobs=2, objects=("a", "b"), analysis_limit=9, backup_to="/b.db"
    )
    job = parent(child())
    form = json_format.job(replace(job, request=replace(job.request, options=options)))["options"]
    assert form.items() >= {
        "force": True,
        "verify": True,
        "check": "quick",
        "jobs": 2,
        "objects": ["a", "b"],
        "analysis_limit": 9,
        "backup_to": "/b.db",
    }.items()  # fmt: skip


def test_the_effect_of_a_step_and_lists_among_the_facts_are_told() -> None:
    (step,) = vacuumed().children[0].steps
    facts: Facts = {"size": 5, "damaged_indexes": ("a", "b")}
    done = replace(child(), steps=(replace(step, effect={"freed_pages": 9, FOLLOWED: 1}),), after=facts)
    form = json.loads(json.dumps(json_format.child(done)))
    assert form["steps"][0]["effect"] == {"freed_pages": 9}
    assert form["after"] == {"size": 5, "damaged_indexes": ["a", "b"]}
    assert list(form["after"]) == ["damaged_indexes", "size"]  # steps that run at once end in any order
    assert json_format.job(vacuumed())["children"][0]["steps"][0]["effect"] is None


def test_what_a_check_found_is_a_list_with_and_without_its_log() -> None:
    log = tuple(
        LogLine(number=number, attempt=1, at=START, level=level, message=f"line {number}")
        for number, level in enumerate((LogLevel.INFO, LogLevel.ERROR, LogLevel.ERROR), 1)
    )
    check = replace(child(1, Status.FAILED, operation=Operation.CHECK), log=log)
    assert json_format.child(check)["findings"] == ["line 2", "line 3"]
    assert json_format.child(check, with_log=True)["findings"] == ["line 2", "line 3"]
    assert json_format.child(child(1, operation=Operation.CHECK))["findings"] == []
    assert "findings" not in json_format.child(replace(check, operation=Operation.VACUUM))


def test_attempts_and_progress_are_told() -> None:
    job = replace(
        rescued(), progress=Progress(fraction=0.5, object="orders", steps_done=1, steps_total=2, phase=FINISHING)
    )
    form = json_format.child(job)
    assert form["attempts"] == [
        {
            "number": 1,
            "pid": 4711,
            "host": "db1",
            "started_at": "2023-11-14T22:13:20.000000Z",
            "finished_at": "2023-11-14T22:13:21.000000Z",
            "status": "failed",
            "reason": "owner_lost",
            "signal": None,
            "login": None,
        },
        {
            "number": 2,
            "pid": 4712,
            "host": "db1",
            "started_at": "2023-11-14T22:13:22.000000Z",
            "finished_at": None,
            "status": "running",
            "reason": None,
            "signal": None,
            "login": None,
        },
    ]
    assert form["progress"] == {
        "fraction": 0.5,
        "object": "orders",
        "phase": "finishing, cannot be interrupted",
        "waits_for": None,
        "steps_done": 1,
        "steps_total": 2,
    }


def test_a_pause_and_a_process() -> None:
    assert json_format.pause(None) == {"paused": None}
    assert json_format.pause(Pause(at=START, by="ann@db1")) == {
        "paused": {"at": "2023-11-14T22:13:20.000000Z", "by": "ann@db1"}
    }
    process = WorkerProcess(
        id="x", pid=7, host="db1", started_at=START, serves_all=True, alive=True, running=(JobId(42, 1),), pool=5
    )
    assert json_format.worker(process) == {
        "pid": 7,
        "host": "db1",
        "started_at": "2023-11-14T22:13:20.000000Z",
        "serves_all": True,
        "stalled": False,
        "draining": False,
        "version": None,
        "queues": [],
        "running": ["42.1"],
        "pool": 5,
        "pool_size": None,
    }


def test_what_has_not_happened_is_null() -> None:
    (waiting, skipped) = json_format.job(
        parent(child(1, Status.PENDING), child(2, Status.SKIPPED, Reason.PREVIOUS_FAILED))
    )["children"]
    assert waiting["started_at"] is waiting["duration"] is waiting["before"] is waiting["reason"] is None
    assert skipped["reason"] == "previous_failed"
    assert skipped["duration"] is None


def test_a_plan_has_the_shape_of_a_job_without_status() -> None:
    settings_reason = vacuum(warnings=("careful",), settings=("PRAGMA x=1",), settings_reason="there is room")
    form = json_format.plan(plan(settings_reason, reindex(2, parallel=2), NOT_NEEDED, REFUSED))
    assert (form["target"], form["engine"], form["before"]["size"]) == ("sqlite:///srv/sales.db", "sqlite", 1_000_000)
    assert (form["warnings"], form["is_unchecked"]) == ([], False)
    first, second, idle, refused = form["children"]
    assert first == {
        "operation": "vacuum",
        "verdict": "warn",
        "error": None,
        "warnings": ["careful"],
        "not_needed": None,
        "settings": ["PRAGMA x=1"],
        "tuned": "there is room",
        "offer": None,
        "needs_yes": None,
        "parallel": 1,
        "estimate": 3.0,
        "estimated_from": None,
        "forbidden": [],
        "steps": [
            {
                "object": "main",
                "command": "VACUUM",
                "reason": "31% free",
                "lock": "blocks everyone",
                "lock_impact": "everyone",
                "lock_momentary": "none",
                "after_cancel": "the file stays as it was",
                "disk_needed": 2_000_000,
                "disk_free": None,
                "estimate": 3,
                "not_begun": None,
                "objects": [],
            }
        ],
    }
    assert (second["verdict"], second["parallel"], second["estimate"], second["tuned"]) == ("ok", 2, 2.0, None)
    assert (idle["verdict"], idle["not_needed"], idle["steps"]) == ("ok", "the database keeps no log", [])
    assert (refused["verdict"], refused["estimate"]) == ("refuse", None)
    assert refused["error"].startswith("the disk has no room")


def test_an_error() -> None:
    problem = TargetUnavailableError("/srv/x.db", "there is no such file", "check the path")
    assert json_format.error(problem) == {
        "error": {"kind": "target", "message": "/srv/x.db: there is no such file", "hint": "check the path"}
    }


def test_advice_says_what_the_contract_names() -> None:
    advice = Advice(
        operation=Operation.VACUUM,
        level=Level.SOON,
        reason="31% of the file is reclaimable",
        gain="about 480 MB back",
        facts={"size": 1_580_000_000, "damaged_indexes": ("a", "b")},
    )
    form = json_format.advice("sqlite:///srv/sales.db", advice)
    needs_manual_fix = json_format.advice("sqlite:///srv/sales.db", replace(advice, needs_manual_fix=True))
    assert needs_manual_fix["facts"] == {**form["facts"], "by_hand": True}
    assert json.loads(json.dumps(form)) == {
        "target": "sqlite:///srv/sales.db",
        "operation": "vacuum",
        "level": "soon",
        "reason": "31% of the file is reclaimable",
        "gain": "about 480 MB back",
        "facts": {"size": 1_580_000_000, "damaged_indexes": ["a", "b"]},
    }
    form = json_format.advice("sqlite:///srv/sales.db", replace(advice, level=Level.UNKNOWN))
    assert form["level"] == "none"
    assert form["facts"]["is_known"] is False
