"""The JSON schema of what each command prints with --json: pure.

All listed names are present. New names may be added: readers must ignore unknown ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from engine import LockImpact, Operation, Reason, Status, Verdict
from engine.domain.errors import ErrorKind
from engine.domain.job_outcomes import JobOutcome
from engine.domain.notifications import EventKind, MessageStatus, Method
from engine.domain.schedules import NEEDED, FiringReason, FiringStatus
from engine.domain.steps import LogLevel, WaitsFor
from engine.domain.surveys import FleetLevel, SurveyCause
from tui.presentation.health_check import Level

Schema = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
TIME: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
}
FRACTION: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 1}
FACTS: Final[Schema] = {
    "description": "Known facts of a database: names depend on engine and operation.",
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean", "array", "null"]},
}
CHILD_ID: Final[Schema] = {"type": "string", "pattern": r"^[0-9]+\.[0-9]+$"}


def named(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def one_of(words: Iterable[StrEnum]) -> Schema:
    return {"enum": [word.value for word in words]}


def record(properties: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """`optional`: names that may be absent."""
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": list(properties)}


_OPTIONS: Final[Schema] = {
    "$comment": "One name for each option.",
    "type": "object",
    "properties": {"server": {"type": "object"}},
    "required": ["server"],
}
_OUTCOMES: Final = record({outcome.value: COUNT for outcome in JobOutcome})

DEFINITIONS: Final[Mapping[str, Schema]] = {
    "job": record({
        "id": COUNT, "target": TEXT, "engine": TEXT, "status": one_of(Status),
        "outcome": one_of(JobOutcome), "created_at": TIME,
        "started_at": or_null(TIME), "finished_at": or_null(TIME), "duration": or_null(SECONDS),
        "retry_of": or_null(COUNT), "batch": or_null(COUNT), "schedule": or_null(TEXT), "deadline_at": or_null(TIME),
        "window": or_null(named("window")), "left": COUNT, "not_begun": COUNT, "pinned": FLAG,
        "submitted_by": or_null(TEXT), "cancelled_by": or_null(TEXT), "options": _OPTIONS,
        "children": listed(named("child")),
    }),
    "child": record({
        "id": CHILD_ID, "operation": one_of(Operation), "status": one_of(Status), "outcome": one_of(JobOutcome),
        "reason": or_null(one_of(Reason)), "error": or_null(TEXT), "attempt": COUNT,
        "started_at": or_null(TIME), "finished_at": or_null(TIME),
        "cancel_requested_at": or_null(TIME), "force_requested_at": or_null(TIME), "recovering": FLAG,
        "duration": or_null(SECONDS), "warnings": listed(TEXT), "before": or_null(FACTS), "after": or_null(FACTS),
        "left": COUNT, "estimate": or_null(SECONDS), "progress": named("progress"),
        "attempts": listed(named("attempt")), "steps": listed(named("step")),
    }, {"findings": listed(TEXT), "page_maps": or_null(named("page_maps")), "log": listed(named("log_line"))}),
    "page_maps": record({"before": named("page_map"), "after": named("page_map")}),
    "page_map": record({
        "pages": COUNT, "page_size": COUNT, "free_pages": COUNT,
        "objects": listed(record({
            "name": TEXT, "type": {"enum": ["table", "index"]}, "pages": COUNT, "out_of_order": COUNT,
            "stands_for": COUNT,
        })),
        "owners": listed({"anyOf": [COUNT, {"enum": ["free", "long_values", "unseen", "internal", "damaged"]}]}),
        "fills": listed(or_null(FRACTION)), "in_order": listed(FLAG),
        "named_by_check": listed(COUNT), "known_damage": listed(TEXT),
    }),
    "read_times": record({
        "name": TEXT, "page_size": COUNT, "in_key_order": named("reading"), "in_file_order": named("reading"),
    }),
    "reading": record({"pages": COUNT, "seconds": SECONDS, "from_disk": or_null(COUNT)}),
    "window": record({"opens_at": TIME, "closes_at": TIME, "fit": FLAG}),
    "attempt": record({
        "number": COUNT, "pid": or_null(COUNT), "host": or_null(TEXT), "started_at": TIME, "finished_at": or_null(TIME),
        "status": one_of(Status), "reason": or_null(one_of(Reason)), "signal": or_null(COUNT),
        "login": or_null(TEXT),
    }),
    "step": record({
        "number": COUNT, "attempt": COUNT, "object": TEXT, "command": TEXT, "status": one_of(Status),
        "started_at": TIME, "finished_at": or_null(TIME), "duration": or_null(SECONDS), "error": or_null(TEXT),
        "reason": or_null(one_of(Reason)), "effect": or_null(FACTS),
    }),
    "progress": record({
        "fraction": or_null(FRACTION), "object": or_null(TEXT), "phase": or_null(TEXT),
        "waits_for": or_null(one_of(WaitsFor)), "steps_done": COUNT, "steps_total": COUNT,
    }),
    "log_line": record({"number": COUNT, "attempt": COUNT, "at": TIME, "level": one_of(LogLevel), "message": TEXT}),
    "planned_job": record({
        "target": TEXT, "engine": TEXT, "before": or_null(FACTS), "is_unchecked": FLAG,
        "warnings": listed(TEXT), "options": _OPTIONS, "children": listed(named("planned_child")),
    }),
    "planned_child": record({
        "operation": one_of(Operation), "verdict": one_of(Verdict), "error": or_null(TEXT), "warnings": listed(TEXT),
        "not_needed": or_null(TEXT), "settings": listed(TEXT), "tuned": or_null(TEXT), "offer": or_null(TEXT),
        "needs_yes": or_null(TEXT), "forbidden": listed(TEXT),
        "parallel": COUNT, "estimate": or_null(SECONDS), "estimated_from": or_null(TEXT),
        "steps": listed(named("planned_step")),
    }),
    "planned_step": record({
        "object": TEXT, "command": TEXT, "reason": TEXT, "lock": TEXT, "lock_impact": one_of(LockImpact),
        "lock_momentary": one_of(LockImpact), "after_cancel": or_null(TEXT), "disk_needed": or_null(COUNT),
        "disk_free": or_null(COUNT), "estimate": or_null(SECONDS), "not_begun": or_null(one_of(Reason)),
        "objects": listed(TEXT),
    }),
    "advice": record({
        "target": TEXT, "operation": one_of(Operation), "reason": TEXT, "gain": or_null(TEXT),
        "level": {"enum": ["now", "soon", "unchecked", "small", "none"]}, "facts": {"type": "object"},
    }),
    "error": record({"kind": one_of(ErrorKind), "message": TEXT, "hint": TEXT}),
    "target": record({
        "target": TEXT, "name": TEXT, "engine": TEXT, "groups": listed(TEXT), "label": or_null(TEXT),
        "level": one_of(FleetLevel), "reason": or_null(TEXT), "size": or_null(COUNT), "reclaimable": COUNT,
        "checked_at": or_null(TIME), "surveyed_at": TIME, "figures_at": or_null(TIME),
        "last_job": or_null(COUNT), "next_due": or_null(TIME), "reasons": listed(named("survey_reason")),
    }),
    "survey_reason": record({"level": one_of(FleetLevel), "cause": one_of(SurveyCause), "text": TEXT, "facts": FACTS}),
    "worker": record({
        "pid": COUNT, "host": TEXT, "started_at": TIME, "serves_all": FLAG, "stalled": FLAG, "draining": FLAG,
        "version": or_null(TEXT), "queues": listed(TEXT),
        "running": listed(CHILD_ID), "pool": or_null(COUNT), "pool_size": or_null(COUNT),
    }),
    "recipient": record({
        "name": TEXT, "method": one_of(Method), "on": listed(one_of(EventKind)), "sent_at": or_null(TIME),
        "collected": COUNT, "waiting": COUNT, "given_up": COUNT, "given_up_at": or_null(TIME), "error": or_null(TEXT),
    }),
    "message": record({
        "message": TEXT, "status": one_of(MessageStatus), "created_at": TIME, "ended_at": or_null(TIME),
        "attempts": COUNT, "summary": TEXT, "events": COUNT, "error": or_null(TEXT),
    }),
    "schedule": record({
        "name": TEXT, "start": TEXT, "timezone": TEXT, "until": or_null(TEXT), "targets": listed(TEXT),
        "exclude": listed(TEXT), "operations": {"anyOf": [{"const": NEEDED}, listed(one_of(Operation))]},
        "next_due": or_null(TIME), "closes_at": or_null(TIME), "disabled_at": or_null(TIME),
        "disabled_by": or_null(TEXT), "other_config": or_null(TEXT), "firings": listed(named("firing")),
    }),
    "firing": record({
        "schedule": TEXT, "due_at": TIME, "status": one_of(FiringStatus), "reason": or_null(one_of(FiringReason)),
        "error": or_null(TEXT), "batch": or_null(COUNT), "started_at": or_null(TIME), "finished_at": or_null(TIME),
        "duration": or_null(SECONDS), "counts": or_null(_OUTCOMES),
    }),
    "night": record({
        "opens_at": TIME, "closes_at": or_null(TIME), "workers": COUNT, "idle": COUNT, "inapplicable": COUNT,
        "beside": listed(TEXT), "open_jobs": COUNT,
        "targets": listed(record({
            "target": TEXT, "problem": or_null(TEXT), "elsewhere": or_null(TEXT),
            "not_begun": listed(one_of(Operation)),
            "left_out": listed(record({"operation": one_of(Operation), "why": TEXT})),
            "operations": listed(record({"operation": one_of(Operation), "begins_at": TIME, "ends_at": or_null(TIME)})),
        })),
    }),
    "check": record({"level": one_of(Level), "what": TEXT, "found": TEXT, "fix": TEXT}, {"facts": FACTS}),
}  # fmt: skip
"""The parts of documents, by the name that refers to them."""

_JOBS: Final = record({"jobs": listed(named("job"))})
_BATCH: Final = record({
    "batch": COUNT, "created_at": TIME, "retry_of": or_null(COUNT), "unsubmitted": COUNT,
    "max_failures": or_null(COUNT), "canary": or_null(COUNT), "max_per_host": or_null(COUNT),
    "counts": _OUTCOMES, "jobs": listed(named("job")),
})  # fmt: skip
_RUN: Final = record({"batch": or_null(COUNT), "jobs": listed(named("job"))})
_PAUSE: Final = record({"paused": or_null(record({"at": TIME, "by": TEXT}))})
_CHECKS: Final = record({"checks": listed(named("check"))})
_STORE_MADE: Final = record({
    "version": COUNT, "earlier_version": or_null(COUNT),
    "owner": TEXT, "owner_is_superuser": FLAG, "missing_roles": listed(TEXT), "roles_sql": TEXT,
})  # fmt: skip
_STORE_COPIED: Final = record({
    "rows": {"type": "object", "additionalProperties": COUNT}, "was_complete": FLAG, "copied_at": TIME,
})  # fmt: skip
DOCUMENTS: Final[Mapping[str, Schema]] = {
    "demo": _RUN,
    "plan": record({"jobs": listed(named("planned_job"))}, {"errors": listed(named("error"))}),
    "run": _RUN,
    "retry": _RUN,
    "schedules": {
        "anyOf": [record({"schedules": listed(named("schedule")), "is_served": FLAG}, {"plan": named("night")}), _RUN]
    },
    "advise": record({"advice": listed(named("advice"))}, {"errors": listed(named("error"))}),
    "fleet": {
        "anyOf": [
            record(
                {"targets": listed(named("target")), "counts": record({level.value: COUNT for level in FleetLevel})}
            ),
            record({"forgotten": listed(TEXT)}),
            record({"accepted": listed(record({"target": TEXT, "damage": TEXT}))}),
        ]
    },
    "map": record({"target": TEXT, "map": named("page_map"), "read_times": or_null(named("read_times"))}),
    "history": record({"jobs": listed(named("job")), "firings": listed(named("firing"))}),
    "show": {"anyOf": [_BATCH, _JOBS]},
    "cancel": {"anyOf": [_BATCH, _JOBS]},
    "pin": _JOBS,
    "unpin": _JOBS,
    "prune": record({"removed": {"type": "object", "additionalProperties": COUNT}, "dry_run": FLAG}),
    "notify": {
        "anyOf": [
            record({"recipients": listed(named("recipient")), "messages": listed(named("message"))}),
            record({"recipient": TEXT, "delivered": FLAG, "error": or_null(TEXT)}),
        ]
    },
    "workers": record({"workers": listed(named("worker"))}),
    "pause": _PAUSE,
    "resume": _PAUSE,
    "doctor": _CHECKS,
    "store": {"anyOf": [_CHECKS, _STORE_MADE, _STORE_COPIED]},
}
"""What each command prints if it does its work."""


def schema_of(command: str) -> Schema:
    """The schema of all that a command prints with --json, errors included."""
    document = {"anyOf": [DOCUMENTS[command], record({"error": named("error")})]}
    return {
        "$schema": DIALECT,
        "title": f"dbtend {command} --json",
        **document,
        "$defs": {name: DEFINITIONS[name] for name in sorted(_used(document))},
    }


def _used(schema: Any) -> set[str]:
    """The names of the definitions that it refers to, and those that these refer to."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        match waiting.pop():
            case {"$ref": str(reference)}:
                name = reference.rpartition("/")[2]
                if name not in found:
                    found.add(name)
                    waiting.append(DEFINITIONS[name])
            case dict() as table:
                waiting += table.values()
            case list() as items:
                waiting += items
    return found
