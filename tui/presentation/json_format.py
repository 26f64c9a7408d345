"""Jobs, plans and errors as the JSON that the command line prints: pure functions.

Times are RFC 3339 UTC, sizes bytes, durations seconds. Scripts rely on these names: add, never rename.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine import (
    Advice,
    Attempt,
    Batch,
    ChildJob,
    Level,
    LogLine,
    Operation,
    Options,
    ParentJob,
    Pause,
    Plan,
    PlannedStep,
    Progress,
    Step,
    WorkerProcess,
)
from engine.domain.errors import DbtendError
from engine.domain.job_outcomes import JobOutcome
from engine.domain.option_specs import OPTION_SPECS
from tui.presentation.effect_summary import findings
from tui.presentation.lock_format import format_lock
from tui.presentation.text import rfc3339

Json = dict[str, Any]


def job(parent: ParentJob, *, with_log: bool = False) -> Json:
    return {
        "id": parent.id,
        "target": parent.target,
        "engine": parent.engine.value,
        "status": parent.status.value,
        "created_at": rfc3339(parent.created_at),
        "started_at": rfc3339(parent.started_at),
        "finished_at": rfc3339(parent.finished_at),
        "duration": _seconds(parent.started_at, parent.finished_at),
        "retry_of": parent.retry_of,
        "batch": parent.batch,
        "schedule": parent.schedule,
        "deadline_at": rfc3339(parent.deadline_at),
        "window": _window(parent),
        "left": parent.left,
        "pinned": parent.pinned,
        "options": _options(parent.request.options),
        "children": [child(c, with_log=with_log) for c in parent.children],
    }


def _window(parent: ParentJob) -> Json | None:
    """From when until when steps may begin; null without an end."""
    if parent.deadline_at is None:
        return None
    opens, closes = rfc3339(parent.created_at), rfc3339(parent.deadline_at)
    return {"opens_at": opens, "closes_at": closes, "fit": parent.request.options.fit}


def batch(batch: Batch) -> Json:
    return {
        "batch": batch.id,
        "created_at": rfc3339(batch.created_at),
        "retry_of": batch.retry_of,
        "max_failures": batch.options.max_failures,
        "canary": batch.options.canary,
        "max_per_host": batch.options.max_per_host,
        "counts": {outcome.value: batch.counts.get(outcome, 0) for outcome in JobOutcome},
    }


def child(job: ChildJob, *, with_log: bool = False) -> Json:
    form: Json = {
        "id": str(job.id),
        "operation": job.operation.value,
        "status": job.status.value,
        "reason": job.reason and job.reason.value,
        "error": job.error,
        "attempt": job.attempt,
        "started_at": rfc3339(job.started_at),
        "finished_at": rfc3339(job.finished_at),
        "cancel_requested_at": rfc3339(job.cancel_requested_at),
        "force_requested_at": rfc3339(job.force_requested_at),
        "recovering": job.recovering,
        "duration": _seconds(job.started_at, job.finished_at),
        "warnings": list(job.warnings),
        "before": _facts(job.before),
        "after": _facts(job.after),
        "left": job.left,
        "estimate": job.estimate,
        "progress": _progress(job.progress),
        "attempts": [_attempt(a) for a in job.attempts],
        "steps": [_step(s) for s in job.steps],
    }
    if job.operation is Operation.CHECK:
        form["findings"] = list(findings(job))
    if with_log:
        form["log"] = [_log_line(line) for line in job.log]
    return form


def plan(plan: Plan) -> Json:
    """The same shape as a job, for something that has not run: no ids, no statuses."""
    return {
        "target": plan.target,
        "engine": plan.engine.value,
        "before": _facts(plan.before),
        "warnings": list(plan.warnings),
        "options": _options(plan.options),
        "children": [
            {
                "operation": operation.operation.value,
                "verdict": operation.verdict.value,
                "error": operation.refused,
                "warnings": list(operation.warnings),
                "not_needed": operation.not_needed,
                "settings": list(operation.settings),
                "tuned": operation.settings_reason or None,
                "needs_yes": operation.needs_confirmation or None,
                "parallel": operation.parallel,
                "estimate": operation.estimate,
                "estimated_from": operation.estimated_from or None,
                "steps": [_planned_step(step) for step in operation.steps],
            }
            for operation in plan.operations
        ],
    }


def advice(target: str, advice: Advice) -> Json:
    """Of three levels: where too little was looked at to know, `none`, and the fact `is_known` is false.

    If a person must repair the database first, the fact `by_hand` is true. `obstacles` say why to run it does not
    help, or not with everything.
    """
    is_known = advice.level is not Level.UNKNOWN
    more: Json = ({} if is_known else {"is_known": False}) | ({"by_hand": True} if advice.needs_manual_fix else {})
    if advice.obstacles:
        more["obstacles"] = list(advice.obstacles)
    return {
        "target": target,
        "operation": advice.operation.value,
        "level": (advice.level if is_known else Level.NONE).value,
        "reason": advice.reason,
        "gain": advice.gain,
        "facts": {**advice.facts, **more},
    }


def error(problem: DbtendError) -> Json:
    message = f"{problem.what}: {problem.why}"
    return {"error": {"kind": problem.kind.value, "message": message, "hint": problem.hint}}


def pause(pause: Pause | None) -> Json:
    return {"paused": None if pause is None else {"at": rfc3339(pause.at), "by": pause.by}}


def worker(process: WorkerProcess) -> Json:
    return {
        "pid": process.pid,
        "host": process.host,
        "started_at": rfc3339(process.started_at),
        "serves_all": process.serves_all,
        "stalled": process.stalled,
        "running": [str(job) for job in process.running],
        "pool": process.pool,
    }


def _options(options: Options) -> Json:
    """All options; those of servers if they differ from the defaults."""
    own = {spec.name: spec.to_json(options) for spec in OPTION_SPECS if not spec.of_server}
    changed = [spec for spec in OPTION_SPECS if spec.of_server and spec.differs_from_default(options)]
    return {**own, "server": {spec.name: spec.to_json(options) for spec in changed}}


def _progress(progress: Progress) -> Json:
    return {
        "fraction": progress.fraction,
        "object": progress.object,
        "phase": progress.phase,
        "waits_for": progress.waits_for and progress.waits_for.value,
        "steps_done": progress.steps_done,
        "steps_total": progress.steps_total,
    }


def _attempt(attempt: Attempt) -> Json:
    return {
        "number": attempt.number,
        "pid": attempt.pid,
        "host": attempt.host,
        "started_at": rfc3339(attempt.started_at),
        "finished_at": rfc3339(attempt.finished_at),
        "status": attempt.status.value,
        "reason": attempt.reason and attempt.reason.value,
        "signal": attempt.signal,
    }


def _step(step: Step) -> Json:
    return {
        "number": step.number,
        "attempt": step.attempt,
        "object": step.object,
        "command": step.command,
        "status": step.status.value,
        "started_at": rfc3339(step.started_at),
        "finished_at": rfc3339(step.finished_at),
        "duration": _seconds(step.started_at, step.finished_at),
        "error": step.error,
        "reason": step.reason and step.reason.value,
        "effect": _facts(step.effect),
    }


def _planned_step(step: PlannedStep) -> Json:
    return {
        "object": step.object,
        "command": step.command,
        "reason": step.reason,
        "lock": format_lock(step.lock),
        "lock_impact": step.lock.impact.value,
        "lock_momentary": step.lock.momentary.value,
        "after_cancel": step.after_cancel or None,
        "disk_needed": step.disk_needed,
        "disk_free": step.disk_free,
        "estimate": step.estimate,
        "not_begun": step.not_begun and step.not_begun.value,
        "objects": list(step.objects),
    }


def _log_line(line: LogLine) -> Json:
    return {
        "number": line.number,
        "attempt": line.attempt,
        "at": rfc3339(line.at),
        "level": line.level.value,
        "message": line.message,
    }


def _facts(facts: Mapping[str, Any] | None) -> Json | None:
    return None if facts is None else dict(facts)


def _seconds(started: int | None, finished: int | None) -> float | None:
    return None if started is None or finished is None else max(finished - started, 0) / 1e6
