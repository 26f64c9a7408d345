"""Jobs, plans and errors as the JSON that the command line prints: pure functions.

Times are RFC 3339 UTC, sizes bytes, durations seconds. Scripts rely on these names: add, never rename.
"""

from __future__ import annotations

from typing import Any, Final

from engine import (
    Advice,
    Batch,
    ChildJob,
    Level,
    Operation,
    Options,
    ParentJob,
    Pause,
    Plan,
    PlannedStep,
    Step,
    WorkerProcess,
)
from engine.domain.errors import DbtendError
from engine.domain.job_outcomes import JobOutcome, child_outcome, outcome_of, shown_status
from engine.domain.kept_page_map import KeptMaps, kept_maps
from engine.domain.option_specs import OPTION_SPECS
from engine.domain.page_map import DAMAGED, FREE, INTERNAL, LONG_VALUES, UNSEEN, PageMap, ReadTimes
from engine.domain.steps import COURSE, FOLLOWED, PAGES_AFTER, PAGES_BEFORE, WAITS, Facts
from engine.domain.store_reports import StoreCopied, StoreMade
from tui.presentation.effect_summary import findings
from tui.presentation.json_fields import fields
from tui.presentation.lock_format import format_lock
from tui.presentation.text import rfc3339

Json = dict[str, Any]


def job(parent: ParentJob, *, with_log: bool = False) -> Json:
    return {
        **fields(parent, "id", "target", "engine"),
        "status": shown_status(parent).value,
        "outcome": outcome_of(parent).value,
        **fields(parent, "created_at", "started_at", "finished_at"),
        "duration": _seconds(parent),
        **fields(parent, "retry_of", "batch", "schedule", "deadline_at"),
        "window": _window(parent),
        **fields(parent, "left", "not_begun", "pinned", "submitted_by", "cancelled_by"),
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
        **fields(batch, "created_at", "retry_of", "unsubmitted"),
        **fields(batch.options, "max_failures", "canary", "max_per_host"),
        "counts": {outcome.value: batch.counts.get(outcome, 0) for outcome in JobOutcome},
    }


def child(job: ChildJob, *, with_log: bool = False) -> Json:
    form: Json = {
        "id": str(job.id),
        **fields(job, "operation", "status", "reason", "error", "attempt", "started_at", "finished_at"),
        "outcome": child_outcome(job).value,
        **fields(job, "cancel_requested_at", "force_requested_at", "recovering"),
        "duration": _seconds(job),
        **fields(job, "warnings", "before"),
        "after": _without_maps(job.after),
        "estimate": job.estimate,
        "left": job.left,
        "progress": fields(job.progress, "fraction", "object", "phase", "waits_for", "steps_done", "steps_total"),
        "attempts": [fields(attempt, *_OF_ATTEMPT) for attempt in job.attempts],
        "steps": [_step(step) for step in job.steps],
    }
    if job.operation is Operation.CHECK:
        form["findings"] = list(findings(job))
    if with_log:
        form["page_maps"] = _page_maps(kept_maps(job.after))
        form["log"] = [fields(line, "number", "attempt", "at", "level", "message") for line in job.log]
    return form


def _without_maps(facts: Facts | None) -> Json | None:
    """In a fixed order: steps that run at once end in any."""
    return None if facts is None else {one: facts[one] for one in sorted(facts.keys() - {PAGES_BEFORE, PAGES_AFTER})}


def _page_maps(maps: KeptMaps | None) -> Json | None:
    return None if maps is None else {"before": page_map(maps.before), "after": page_map(maps.after)}


def page_map(found: PageMap) -> Json:
    """`owners`: for each place the position of its owner in `objects`, or what else the page is."""
    return {
        **fields(found, "pages", "page_size", "free_pages"),
        "objects": [
            {
                "name": one.name,
                "type": "index" if one.is_index else "table",
                "pages": one.pages,
                "out_of_order": one.jumps,
                "stands_for": one.stands_for,
            }
            for one in found.objects
        ],
        "owners": [owner if owner >= 0 else _NO_OWNER[owner] for owner in found.owners],
        **fields(found, "fills", "in_order", "named_by_check"),
        "known_damage": [one.text for one in found.known_damage],
    }


def read_times(times: ReadTimes) -> Json:
    orders = {name: fields(getattr(times, name), "pages", "seconds", "from_disk") for name in _ORDERS}
    return {**fields(times, "name", "page_size"), **orders}


_ORDERS: Final = ("in_key_order", "in_file_order")
_NO_OWNER: Final = {
    FREE: "free",
    LONG_VALUES: "long_values",
    UNSEEN: "unseen",
    INTERNAL: "internal",
    DAMAGED: "damaged",
}
_OF_ENGINE: Final = {COURSE, FOLLOWED, WAITS}
"""Facts of a step for the next run, a retry and the times."""
_OF_ATTEMPT: Final = ("number", "pid", "host", "started_at", "finished_at", "status", "reason", "signal", "login")


def plan(plan: Plan) -> Json:
    """A plan in the shape of a job: it has not run, so there are no ids and no statuses."""
    return {
        **fields(plan, "target", "engine", "before", "is_unchecked", "warnings"),
        "options": _options(plan.options),
        "children": [
            {
                **fields(operation, "operation", "verdict"),
                "error": operation.refused,
                **fields(operation, "warnings", "not_needed", "settings"),
                "tuned": operation.settings_reason or None,
                "offer": operation.offer or None,
                "needs_yes": operation.needs_confirmation or None,
                **fields(operation, "parallel", "estimate"),
                "estimated_from": operation.estimated_from or None,
                "forbidden": list(operation.forbidden),
                "steps": [_planned_step(step) for step in operation.steps],
            }
            for operation in plan.operations
        ],
    }


def advice(target: str, advice: Advice) -> Json:
    """Advice with its level: where too little is known, the level is `none`, and the fact `is_known` is false.

    If a person must repair the database first, the fact `by_hand` is true. `obstacles` say why to run it does not
    help, or not with everything. `dead_space` names where the most can be won. `to_do_by_hand` is what no
    operation puts right.
    """
    is_known = advice.level is not Level.UNKNOWN
    more: Json = ({} if is_known else {"is_known": False}) | ({"by_hand": True} if advice.needs_manual_fix else {})
    if advice.obstacles:
        more["obstacles"] = list(advice.obstacles)
    if advice.dead_space:
        more["dead_space"] = [
            {"object": one.name, "wasted_bytes": one.wasted, "size": one.size} for one in advice.dead_space
        ]
    if advice.by_hand:
        more["to_do_by_hand"] = {"level": advice.by_hand.urgency, "reason": advice.by_hand.reason}
    return {
        "target": target,
        "operation": advice.operation.value,
        "level": (advice.shown_level if is_known else Level.NONE).value,
        "reason": advice.reason,
        "gain": advice.gain,
        "facts": {**advice.facts, **more},
    }


def error(problem: DbtendError) -> Json:
    message = f"{problem.what}: {problem.why}"
    return {"error": {"kind": problem.kind.value, "message": message, "hint": problem.hint}}


def store_made(made: StoreMade) -> Json:
    form = fields(made, "version", "earlier_version", "owner", "owner_is_superuser")
    return {**form, "missing_roles": list(made.missing_roles), "roles_sql": made.roles_sql}


def store_copied(copied: StoreCopied) -> Json:
    return {"rows": dict(copied.rows), "was_complete": copied.was_complete, "copied_at": rfc3339(copied.copied_at)}


def pause(pause: Pause | None) -> Json:
    return {"paused": None if pause is None else {"at": rfc3339(pause.at), "by": pause.by}}


def worker(process: WorkerProcess) -> Json:
    return {
        **fields(process, "pid", "host", "started_at", "serves_all", "stalled", "draining"),
        "version": process.version or None,
        "queues": list(process.queues),
        "running": [str(job) for job in process.running],
        "pool": process.pool,
        "pool_size": process.pool_size,
    }


def _options(options: Options) -> Json:
    """All options; those of servers if they differ from the defaults."""
    own = {spec.name: spec.to_json(options) for spec in OPTION_SPECS if not spec.of_server}
    changed = [spec for spec in OPTION_SPECS if spec.of_server and spec.differs_from_default(options)]
    return {**own, "server": {spec.name: spec.to_json(options) for spec in changed}}


def _step(step: Step) -> Json:
    return {
        **fields(step, "number", "attempt", "object", "command", "status", "started_at", "finished_at"),
        "duration": _seconds(step),
        **fields(step, "error", "reason"),
        "effect": {name: fact for name, fact in (step.effect or {}).items() if name not in _OF_ENGINE} or None,
    }


def _planned_step(step: PlannedStep) -> Json:
    return {
        **fields(step, "object", "command", "reason"),
        "lock": format_lock(step.lock),
        "lock_impact": step.lock.impact.value,
        "lock_momentary": step.lock.momentary.value,
        "after_cancel": step.after_cancel or None,
        **fields(step, "disk_needed", "disk_free", "estimate", "not_begun", "objects"),
    }


def _seconds(record: ParentJob | ChildJob | Step) -> float | None:
    if record.started_at is None or record.finished_at is None:
        return None
    return max(record.finished_at - record.started_at, 0) / 1e6
