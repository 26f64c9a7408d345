"""Values as the functions of the shared store take them, and what they give back: pure functions.

PostgreSQL's text holds no NUL, and no half of a surrogate pair; both become backslash escapes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from engine.domain.claims import Claim, Outcome, Report
from engine.domain.damage import DamageChange
from engine.domain.jobs import JobId
from engine.domain.notifications import Event
from engine.domain.schedules import Firing
from engine.domain.statuses import Reason
from engine.domain.steps import LOG_HEAD, LOG_TAIL, Facts, LogLine, Step
from engine.store.damage_rows import decode_damage, encode_change
from engine.store.postgres.host_targets import HostTargets
from engine.store.protocol import MAX_ATTEMPTS, NewBatch, NewJob
from engine.store.rows import decode_options, decode_steps, encode_facts, encode_operations, encode_options


def clean(text: str) -> str:
    """Text as PostgreSQL can keep it."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def cleaned(value: Any) -> Any:
    """A value of JSON with clean texts."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): cleaned(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [cleaned(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # no JSON
    return value


def as_jsonb(value: Any) -> Jsonb:
    return Jsonb(value, dumps=_dumped)


def _dumped(value: Any) -> str:
    """JSON, cleaned only where needed."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(cleaned(value))
    return json.dumps(cleaned(value)) if "\\u0000" in text or "\\ud" in text else text


def facts_text(facts: Facts | None) -> str | None:
    return None if facts is None else encode_facts(cleaned(facts))


def new_job(job: NewJob, targets: HostTargets) -> dict[str, Any]:
    """A job in the form that the function `submit` takes."""
    host = targets.host_of(job.request.target)
    queue = targets.queue_of(job.engine, job.request.options) if host is None else f"host:{host}"
    return {
        "target": targets.stored(job.request.target),
        "target_key": targets.key(job.engine, job.target_key) if host is None else job.target_key,
        "host_key": job.host_key,
        "queue": queue,
        "is_served_here": queue in targets.served,
        "engine": job.engine,
        "operations": encode_operations(job.request.operations),
        "options": encode_options(job.request.options),
        "children": [
            [name, job.max_attempts.get(name, MAX_ATTEMPTS), job.request.estimates.get(name)]
            for name in job.request.children
        ],
        "retry_of": job.retry_of,
        "known_retry": job.known_retry,
        "deadline_at": job.deadline_at,
        "starts_at": job.starts_at,
        "is_pattern": job.is_pattern,
        "failure": None if job.failure is None else [job.failure.reason, job.failure.error],
    }


def new_batch(batch: NewBatch | None) -> Jsonb | None:
    if batch is None:
        return None
    options = batch.options
    return as_jsonb(
        {
            "retry_of": batch.retry_of,
            "schedule": batch.schedule,
            "id": batch.id,
            "unsubmitted": batch.unsubmitted,
            "max_failures": options.max_failures,
            "canary": options.canary,
            "max_per_host": options.max_per_host,
        }
    )


def token(claim: Claim) -> Jsonb:
    """The owner and attempt that a write of the claim must still have."""
    return as_jsonb(
        {"parent": claim.job.parent, "ordinal": claim.job.ordinal, "owner": claim.owner, "attempt": claim.attempt}
    )


def report(news: Report) -> Jsonb:
    progress = news.progress
    values: dict[str, Any] = {
        "progress": {
            "fraction": progress.fraction,
            "object": progress.object,
            "steps_done": progress.steps_done,
            "steps_total": progress.steps_total,
            "phase": progress.phase,
            "waits_for": progress.waits_for,
            "waited": progress.waited,
        },
        "steps": [_step(step) for step in news.steps],
        "log": [_line(line) for line in news.log],
    }
    if news.log and news.log[-1].number > LOG_HEAD + LOG_TAIL:
        values |= {"log_kept_first": LOG_HEAD, "log_dropped_until": news.log[-1].number - LOG_TAIL}
    return as_jsonb(values)


def _step(step: Step) -> dict[str, Any]:
    return {
        "attempt": step.attempt,
        "number": step.number,
        "object": step.object,
        "command": step.command,
        "status": step.status,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "error": step.error,
        "effect": facts_text(step.effect),
        "operation": step.operation,
        "error_is_finding": step.error_is_finding,
        "reason": step.reason,
    }


def _line(line: LogLine) -> dict[str, Any]:
    return {
        "attempt": line.attempt,
        "number": line.number,
        "at": line.at,
        "level": line.level,
        "message": line.message,
        "is_settings": line.is_settings,
    }


def outcome(ended: Outcome) -> Jsonb:
    return as_jsonb(
        {
            "status": ended.status,
            "ended_at": ended.ended_at,
            "reason": ended.reason,
            "error": ended.error,
            "warnings": json.dumps(cleaned(ended.warnings)),
            "before": facts_text(ended.before),
            "after": facts_text(ended.after),
            "left": ended.left,
            "estimate": ended.estimate,
            "size_estimate": ended.size_estimate,
            "attempt": ended.attempt,
            **({"damage": encode_change(ended.damage)} if ended.damage else {}),
        }
    )


def damage(change: DamageChange) -> Jsonb:
    return as_jsonb(encode_change(change))


def claim(found: Mapping[str, Any] | None, owner: str, targets: HostTargets) -> Claim | None:
    """The claim that the function `claim` returned; None if there was nothing to do."""
    if found is None:
        return None
    return Claim(
        job=JobId(found["parent"], found["ordinal"]),
        type=found["type"],
        attempt=found["attempt"],
        owner=owner,
        target=targets.here(found["target"]),
        started_at=found["started_at"],
        operation=found["operation"],
        options=decode_options(found["options"]),
        recovering=Reason(found["recovering"]) if found["recovering"] else None,
        deaths=found["deaths"],
        signal=found["signal"],
        earlier=decode_steps(found["earlier"]),
        time_left=None if found["left"] is None else found["left"] / 1e6,
        forced=found["forced"],
        is_own=found["is_own"],
        damage=tuple(map(decode_damage, found["damage"])),
    )


def firing(due: Firing) -> Jsonb:
    return as_jsonb(firing_values(due))


def firing_values(due: Firing) -> dict[str, Any]:
    return {
        "schedule": due.schedule,
        "due_at": due.due_at,
        "status": due.status,
        "reason": due.reason,
        "error": due.error,
        "batch": due.batch,
        "jobs": due.jobs,
        "recorded_at": due.recorded_at,
    }


def events(found: Iterable[Event], targets: HostTargets) -> Jsonb:
    return as_jsonb([_event(event, targets) for event in found])


def _event(event: Event, targets: HostTargets) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "at": event.at,
        "target": targets.stored(event.target),
        "parent_id": event.job and event.job.parent,
        "ordinal": event.job and event.job.ordinal,
        "schedule": event.schedule,
        "facts": facts_text(event.facts),
        "is_damage": bool(event.facts.get("is_damage")),
    }
