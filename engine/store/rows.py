"""Rows of the store to values and back: pure functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from engine.domain.advice import CompletedStep, Measurement
from engine.domain.batches import Batch, BatchOptions, Retries
from engine.domain.engines import EngineName
from engine.domain.events import Change, ChangeKind
from engine.domain.job_outcomes import JobOutcome
from engine.domain.jobs import Attempt, ChildJob, JobId, ParentJob
from engine.domain.option_specs import BY_NAME, OPTION_SPECS
from engine.domain.past_runs import EstimatedRun, PastRun, PastStep, RecordedBackup
from engine.domain.requests import Operation, Options, Request, ServerOptions
from engine.domain.schedules import Firing, FiringReason, FiringStatus, ScheduleState
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts, LogLevel, LogLine, Progress, Step, WaitsFor
from engine.domain.turns import Turns
from engine.store.row_checks import checked, checked_facts, sound

PARENT_COLUMNS = (
    "id", "target", "engine", "operations", "options", "status", "created_at", "started_at", "finished_at", "retry_of",
    "deadline_at", "pinned", "batch_id", "is_pattern", "schedule", "submitted_by", "cancelled_by",
)  # fmt: skip
CHILD_COLUMNS = (
    "ordinal", "operation", "status", "reason", "error", "attempt", "owner", "pid", "host", "started_at", "finished_at",
    "cancel_requested_at", "force_requested_at", "recovering", "fraction", "object", "steps_done", "steps_total",
    "phase", "waits_for", "waited", "warnings", "before", "after", "steps_left", "starts_at",
    "estimate",
)  # fmt: skip
_PROGRESS_COLUMNS = ("fraction", "object", "steps_done", "steps_total", "phase", "waits_for", "waited")
JOB_COLUMNS = ", ".join([f"p.{name}" for name in PARENT_COLUMNS] + [f"c.{name}" for name in CHILD_COLUMNS])
EMBEDDED_JOB_COLUMNS = JOB_COLUMNS.replace("p.submitted_by, p.cancelled_by", "NULL, NULL")
"""An embedded store belongs to one person."""

_OWN = [spec for spec in OPTION_SPECS if not spec.of_server]

KNOWN_CHANGES = frozenset(ChangeKind)

Row = Sequence[Any]


def storable(text: str | None) -> str | None:
    """Text as a store can keep it: a file name or a message may hold bytes that are no UTF-8."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


@lru_cache(maxsize=64)
def encode_options(options: Options) -> str:
    """Options as canonical JSON: equal options give equal text; defaults are left out."""
    told = [spec for spec in OPTION_SPECS if spec.is_told(options)]
    given: dict[str, Any] = {spec.name: spec.to_json(options) for spec in told if not spec.of_server}
    if server := {spec.name: spec.to_json(options) for spec in told if spec.of_server}:
        given["server"] = server
    return json.dumps(given, sort_keys=True)


@lru_cache(maxsize=64)
def decode_options(text: str) -> Options | None:
    """The options in a text of JSON; None if it is not valid."""
    try:
        stored = json.loads(text)
        server = {name: BY_NAME[name].from_json(value) for name, value in stored.pop("server", {}).items()}
        own = {s.name: s.from_json(stored[s.name]) for s in _OWN if s.always_told or s.name in stored}
        return Options(**own, server=ServerOptions(**server))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None


@lru_cache(maxsize=64)
def encode_operations(operations: tuple[Operation, ...]) -> str:
    return json.dumps(operations)


@lru_cache(maxsize=64)
def _decode_operations(text: str) -> tuple[Operation, ...]:
    return tuple(Operation(name) for name in json.loads(text))


def encode_facts(facts: Facts | None) -> str | None:
    return None if facts is None else json.dumps(dict(facts))


def decode_jobs(rows: Iterable[Row]) -> dict[int, ParentJob]:
    """Joined rows (JOB_COLUMNS, then optionally attempts, steps and log as JSON) to parents with their children.

    Raises UnsoundRowError.
    """
    split = len(PARENT_COLUMNS)
    parents: dict[int, Row] = {}
    children: dict[int, list[ChildJob]] = {}
    for row in rows:
        parent_id = row[0]
        parents[parent_id] = row[:split]
        with sound(f"job #{parent_id}"):
            children.setdefault(parent_id, []).append(_child(parent_id, row[split:]))
    jobs = {}
    for parent_id, row in parents.items():
        with sound(f"job #{parent_id}"):
            jobs[parent_id] = _parent(row, tuple(sorted(children[parent_id], key=lambda child: child.ordinal)))
    return jobs


def _converted(named: Mapping[str, Any], types: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """The values of a row, by name, some of them converted."""
    return {**named, **{name: convert(named[name]) for name, convert in types.items()}}


def _or_none(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: convert(value) if value else None


def _parent(row: Row, children: tuple[ChildJob, ...]) -> ParentJob:
    named = _converted(checked(dict(zip(PARENT_COLUMNS, row, strict=True))), _PARENT_TYPES)
    request = Request(
        target=named.pop("target"),
        operations=_decode_operations(named.pop("operations")),
        options=decode_options(named.pop("options")) or Options(),
    )
    return ParentJob(request=request, batch=named.pop("batch_id"), children=children, **named)


def _child(parent_id: int, row: Row) -> ChildJob:
    named = _converted(checked(dict(zip(CHILD_COLUMNS, row, strict=False))), _CHILD_TYPES)
    child = ChildJob(
        parent_id=parent_id,
        progress=Progress(**{name: named.pop(name) for name in _PROGRESS_COLUMNS}),
        left=named.pop("steps_left"),
        **named,
    )
    if len(row) == len(CHILD_COLUMNS):
        return child
    attempts, steps, log = row[len(CHILD_COLUMNS) :]
    return replace(
        child,
        steps=decode_steps(steps),
        log=tuple(_log_line(line) for line in json.loads(log)),
        attempts=_attempts(child, json.loads(attempts)),
    )


def _attempts(child: ChildJob, earlier: Iterable[Mapping[str, Any]]) -> tuple[Attempt, ...]:
    """The stored attempts, then the one in the row of the child unless it is stored.

    A recovery attempt is not marked as `owner_lost`, though the child ends with that reason.
    """
    attempts = [
        Attempt(**{**named, "status": Status(named["status"]), "reason": Reason(named["reason"])})
        for named in earlier
        if checked({**named, "at": named["started_at"]})
    ]
    if child.started_at is not None and child.attempt not in {attempt.number for attempt in attempts}:
        attempts.append(
            Attempt(
                number=child.attempt,
                pid=child.pid,
                host=child.host,
                started_at=child.started_at,
                finished_at=child.finished_at,
                status=child.status,
                reason=None if child.recovering and child.reason is Reason.OWNER_LOST else child.reason,
            )
        )
    return tuple(attempts)


def _facts(text: str | None) -> Facts | None:
    return None if text is None else checked_facts(json.loads(text))


@lru_cache(maxsize=64)
def _texts(text: str) -> tuple[str, ...]:
    texts = json.loads(text)
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError("a list of texts is none")
    return tuple(texts)


_PARENT_TYPES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "engine": EngineName.stored,
    "status": Status,
    "pinned": bool,
    "is_pattern": bool,
    "submitted_by": _or_none(str),
}
_CHILD_TYPES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "operation": Operation,
    "status": Status,
    "reason": _or_none(Reason),
    "recovering": bool,
    "waits_for": _or_none(WaitsFor),
    "warnings": _texts,
    "before": _facts,
    "after": _facts,
}
_STEP_TYPES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "status": Status,
    "operation": _or_none(Operation),
    "reason": _or_none(Reason),
    "error_is_finding": bool,
    "effect": lambda effect: None if effect is None else checked_facts(effect),
}
_LINE_TYPES: Final = {"level": LogLevel, "is_settings": bool}


@sound("steps")
def decode_steps(text: str) -> tuple[Step, ...]:
    """Steps from the JSON that `queries.STEPS` makes of them. Raises UnsoundRowError."""
    return tuple(map(_step, json.loads(text)))


def _step(named: Mapping[str, Any]) -> Step:
    checked({**named, "at": named["started_at"]})
    return Step(**_converted(named, _STEP_TYPES))


def _log_line(named: Mapping[str, Any]) -> LogLine:
    return LogLine(**_converted(checked(named), _LINE_TYPES))


@sound("event")
def decode_change(row: Row) -> Change:
    """A change from a row of `event`: seq, at, parent_id, ordinal, kind, old, new, attempt. Raises UnsoundRowError."""
    seq, at, parent_id, ordinal, kind, old, new, attempt = row
    return Change(
        seq=seq,
        at=at,
        job=None if parent_id is None else JobId(parent_id, ordinal),
        kind=ChangeKind(kind) if kind in KNOWN_CHANGES else ChangeKind.UNKNOWN,
        old=Status(old) if old else None,
        new=Status(new) if new else None,
        attempt=attempt,
    )


@sound("a backup")
def decode_backup(row: Row) -> RecordedBackup:
    """A row of `queries.BACKUPS`. Raises UnsoundRowError."""
    text, warnings, started_at, finished_at = row
    effect = checked_facts(json.loads(text))
    checked({"warnings": warnings, "started_at": started_at, "at": finished_at})
    written = effect.get("backup_size")
    return RecordedBackup(
        path=effect["backup"],
        size=written if isinstance(written, int) else None,
        identity=str(effect.get("backup_file", "")),
        source=str(effect.get("backup_source", "")),
        # Old versions told of a copy that was not found sound by a warning alone.
        is_checked=bool(effect.get("backup_checked", not _texts(warnings))),
        started_at=started_at or finished_at,
        finished_at=finished_at,
    )


@sound("a past run")
def decode_run(row: Row) -> PastRun:
    """A row of `queries.PAST_RUNS`. Raises UnsoundRowError."""
    parent_id, ordinal, status, finished_at, seconds, size, options = row
    checked({"finished_at": finished_at, "seconds": seconds, "options": options})
    return PastRun(
        job=JobId(parent_id, ordinal),
        status=Status(status),
        at=finished_at,
        seconds=seconds,
        size=_size(size),
        options=decode_options(options) or Options(),
    )


def _size(size: object) -> float | None:
    return float(size) if isinstance(size, int | float) else None


@sound("a past run")
def decode_estimated_run(row: Row) -> EstimatedRun:
    """A row of `queries.ESTIMATED_RUNS` or `RUNS_BY_SIZE`. Raises UnsoundRowError."""
    target, operation, estimate, seconds, size, options = row
    checked({"target": target, "estimate": estimate, "seconds": seconds})
    return EstimatedRun(
        target,
        Operation(operation),
        estimate,
        seconds,
        size=_size(size),
        options=decode_options(options) or Options(),
    )


@sound("past steps")
def decode_past_steps(rows: Iterable[Row]) -> dict[str, PastStep]:
    """The rows of `queries.PAST_STEPS`, by command. An invalid course counts as none, and so do invalid objects.

    Raises UnsoundRowError.
    """
    return {
        str(command): PastStep(float(seconds), _course(course), tuple(map(str, _list(objects))))
        for command, seconds, course, objects, *_ in rows
    }


def _course(value: object) -> tuple[int, ...]:
    numbers = _list(value)
    return tuple(numbers) if all(type(number) is int and 0 <= number < 2**63 for number in numbers) else ()


def _list(value: object) -> list[Any]:
    try:
        values = json.loads(value) if isinstance(value, str) else None
    except (RecursionError, ValueError):
        return []
    return values if isinstance(values, list) else []


@sound("a batch")
def decode_batch(row: Row) -> Batch:
    """A row of `queries.BATCH`. Raises UnsoundRowError."""
    batch_id, created_at, retry_of, max_failures, canary, max_per_host, unsubmitted, newest_job, counts = row
    checked({"id": batch_id, "created_at": created_at, "retry_of": retry_of, "unsubmitted": unsubmitted})
    return Batch(
        id=batch_id,
        created_at=created_at,
        retry_of=retry_of,
        options=BatchOptions(max_failures=max_failures, canary=canary, max_per_host=max_per_host),
        newest_job=newest_job or 0,
        unsubmitted=unsubmitted,
        counts={JobOutcome(name): number for name, number in json.loads(counts).items() if number},
    )


def decode_retries(rows: Iterable[Row]) -> Retries:
    """Rows of `queries.RETRIES`."""
    retries = list(rows)
    return Retries(
        {of: newest for of, newest, _ in retries}, frozenset(of for of, _, is_of_last in retries if is_of_last)
    )


def decode_measured(row: Row) -> Measurement | None:
    """A row of `queries.MEASURED`; None if it is invalid: it can be measured again."""
    state, text = row
    try:
        values = json.loads(text)
    except (RecursionError, TypeError, ValueError):
        return None
    return Measurement(state=str(state), found=values) if isinstance(values, dict) else None


@sound("past steps")
def decode_last_done(rows: Iterable[Row]) -> dict[tuple[Operation, str], CompletedStep]:
    """Rows of `queries.LAST_DONE`. Raises UnsoundRowError."""
    return {
        (Operation(operation), name): CompletedStep(at, json.loads(effect or "{}"))
        for operation, name, at, effect in rows
    }


@sound("past steps")
def decode_turns(works: Iterable[Row], unfinished: Iterable[Row]) -> Turns:
    """Rows of `queries.OBJECT_TURNS`, and of `queries.UNFINISHED_RUNS`. Raises UnsoundRowError."""
    begun = {(Operation(kind), str(name)): (done, last) for kind, name, done, last in works}
    return Turns(
        done={work: done for work, (done, _) in begun.items() if done},
        begun={work: last for work, (_, last) in begun.items()},
        unfinished={Operation(name): parent_id for name, parent_id in unfinished},
    )


SCHEDULE_STATE: Final = ("name", "start", "config", "since", "disabled_at", "disabled_by")
FIRING: Final = ("schedule", "due_at", "status", "reason", "error", "batch_id", "jobs", "recorded_at")
FIRINGS_KEPT: Final = 400 * 86_400 * 1_000_000
"""Microseconds for which firings are kept: more than a year."""
FIRINGS_KEPT_OF_EACH: Final = 10_000
"""Firings of one schedule that are kept at most."""


def decode_state(row: Row) -> ScheduleState:
    return ScheduleState(**checked(dict(zip(SCHEDULE_STATE, row, strict=True))))


def decode_firing(row: Row) -> Firing:
    values = checked(dict(zip(FIRING, row, strict=True)))
    with sound("a firing"):
        return Firing(
            schedule=values["schedule"],
            due_at=values["due_at"],
            status=FiringStatus(values["status"]),
            reason=FiringReason(values["reason"]) if values["reason"] else None,
            error=values["error"],
            batch=values["batch_id"],
            jobs=values["jobs"],
            recorded_at=values["recorded_at"],
        )
