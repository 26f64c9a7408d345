"""Rows of the store to values and back: pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.jobs import (
    Change,
    ChangeKind,
    ChildJob,
    EngineName,
    Facts,
    JobId,
    LogLevel,
    LogLine,
    OnFailure,
    Operation,
    Options,
    ParentJob,
    Progress,
    Reason,
    Request,
    Status,
    Step,
)

PARENT_COLUMNS = (
    "id", "target", "engine", "operations", "options", "status", "created_at", "started_at", "finished_at", "retry_of",
)  # fmt: skip
CHILD_COLUMNS = (
    "ordinal", "operation", "status", "reason", "error", "attempt", "owner", "started_at", "finished_at",
    "cancel_requested_at", "fraction", "object", "steps_done", "steps_total", "warnings", "before", "after",
)  # fmt: skip
JOB_COLUMNS = ", ".join([f"p.{name}" for name in PARENT_COLUMNS] + [f"c.{name}" for name in CHILD_COLUMNS])

Row = Sequence[Any]


def encode_options(options: Options) -> str:
    """Options as canonical JSON: equal options give equal text."""
    return json.dumps({"on_failure": options.on_failure, "lock_timeout": options.lock_timeout}, sort_keys=True)


def decode_options(text: str) -> Options | None:
    """None where the text is not what `encode_options` writes."""
    try:
        stored = json.loads(text)
        return Options(on_failure=OnFailure(stored["on_failure"]), lock_timeout=float(stored["lock_timeout"]))
    except (KeyError, TypeError, ValueError):
        return None


def encode_operations(operations: Iterable[Operation]) -> str:
    return json.dumps(list(operations))


def encode_facts(facts: Facts | None) -> str | None:
    return None if facts is None else json.dumps(dict(facts))


def decode_jobs(rows: Iterable[Row]) -> dict[int, ParentJob]:
    """Joined rows (JOB_COLUMNS, then optionally steps and log as JSON) to parents with their children."""
    split = len(PARENT_COLUMNS)
    parents: dict[int, Row] = {}
    children: dict[int, list[ChildJob]] = {}
    for row in rows:
        parent_id = row[0]
        parents[parent_id] = row[:split]
        children.setdefault(parent_id, []).append(_child(parent_id, row[split:]))
    return {
        parent_id: _parent(row, tuple(sorted(children[parent_id], key=lambda child: child.ordinal)))
        for parent_id, row in parents.items()
    }


def _parent(row: Row, children: tuple[ChildJob, ...]) -> ParentJob:
    named = dict(zip(PARENT_COLUMNS, row, strict=True))
    return ParentJob(
        id=named["id"],
        engine=EngineName(named["engine"]),
        request=Request(
            target=named["target"],
            operations=tuple(Operation(name) for name in json.loads(named["operations"])),
            options=decode_options(named["options"]) or Options(),
        ),
        status=Status(named["status"]),
        created_at=named["created_at"],
        started_at=named["started_at"],
        finished_at=named["finished_at"],
        retry_of=named["retry_of"],
        children=children,
    )


def _child(parent_id: int, row: Row) -> ChildJob:
    named = dict(zip(CHILD_COLUMNS, row, strict=False))
    steps, log = row[len(CHILD_COLUMNS) :] or ("[]", "[]")
    return ChildJob(
        parent_id=parent_id,
        ordinal=named["ordinal"],
        operation=Operation(named["operation"]),
        status=Status(named["status"]),
        reason=Reason(named["reason"]) if named["reason"] else None,
        error=named["error"],
        attempt=named["attempt"],
        owner=named["owner"],
        started_at=named["started_at"],
        finished_at=named["finished_at"],
        cancel_requested_at=named["cancel_requested_at"],
        progress=Progress(
            fraction=named["fraction"],
            object=named["object"],
            steps_done=named["steps_done"],
            steps_total=named["steps_total"],
        ),
        warnings=tuple(json.loads(named["warnings"])),
        before=_facts(named["before"]),
        after=_facts(named["after"]),
        steps=tuple(_step(step) for step in json.loads(steps)),
        log=tuple(_log_line(line) for line in json.loads(log)),
    )


def _facts(text: str | None) -> Facts | None:
    return None if text is None else json.loads(text)


def _step(named: Mapping[str, Any]) -> Step:
    return Step(
        number=named["number"],
        attempt=named["attempt"],
        object=named["object"],
        command=named["command"],
        status=Status(named["status"]),
        started_at=named["started_at"],
        finished_at=named["finished_at"],
        error=named["error"],
    )


def _log_line(named: Mapping[str, Any]) -> LogLine:
    return LogLine(
        number=named["number"],
        attempt=named["attempt"],
        at=named["at"],
        level=LogLevel(named["level"]),
        message=named["message"],
    )


def decode_change(row: Row) -> Change:
    """A row of `event`: seq, at, parent_id, ordinal, kind, old, new, attempt."""
    seq, at, parent_id, ordinal, kind, old, new, attempt = row
    return Change(
        seq=seq,
        at=at,
        job=JobId(parent_id, ordinal),
        kind=ChangeKind(kind),
        old=Status(old) if old else None,
        new=Status(new),
        attempt=attempt,
    )
