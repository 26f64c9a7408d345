"""Rows of messages and of their events to values: pure functions for all stores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.domain.jobs import JobId
from engine.domain.notifications import Event, EventKind, Message, MessageStatus, RecipientState
from engine.store.row_checks import UnsoundRowError, checked, checked_facts, sound
from engine.store.rows import Row

MESSAGES_KEPT: Final = 90 * 86_400 * 1_000_000
"""Microseconds."""
MISSED_TOLD: Final = 8 * 86_400 * 1_000_000
"""Microseconds. Older due times that did not fire are not reported."""
MESSAGE: Final = (
    "id", "key", "recipient", "status", "created_at", "attempts", "next_try_at", "ended_at", "error", "done"
)  # fmt: skip
_EVENT: Final = ("kind", "at", "target", "parent_id", "child", "schedule", "facts")


def decode_seen(row: Row) -> tuple[str, int]:
    """A recipient, and up to which change events were collected for it. Raises UnsoundRowError."""
    name, seen = row
    checked({"name": name, "number": seen})
    return name, seen


def decode_message(row: Row, events: Iterable[Row], number_of_events: int) -> Message:
    """Raises UnsoundRowError. An event that dbtend would not write is left out, and counted."""
    values = checked(dict(zip(MESSAGE, row, strict=True)))
    with sound("a message"):
        found = [event for event in map(_decode_event, events) if event is not None]
        done = json.loads(values["done"])
        return Message(
            id=values["id"],
            key=str(values["key"]),
            recipient=str(values["recipient"]),
            status=MessageStatus(values["status"]),
            created_at=values["created_at"],
            attempts=int(values["attempts"]),
            next_try_at=int(values["next_try_at"]),
            ended_at=values["ended_at"],
            error=values["error"],
            done=tuple(map(str, done)),
            events=tuple(found),
            left_out=number_of_events - len(found),
        )


def _decode_event(row: Row) -> Event | None:
    try:
        values: Mapping[str, Any] = checked(dict(zip(_EVENT, row, strict=True)))
        with sound("a notification"):
            parent_id, ordinal = values["parent_id"], values["child"]
            return Event(
                kind=EventKind(values["kind"]),
                at=values["at"],
                target=values["target"],
                job=None if parent_id is None else JobId(int(parent_id), None if ordinal is None else int(ordinal)),
                schedule=str(values["schedule"]),
                facts=checked_facts(json.loads(values["facts"])),
            )
    except UnsoundRowError:
        return None


def decode_recipient(row: Row) -> RecipientState:
    name, collected, waiting, given_up, given_up_at, sent_at, error = row
    return RecipientState(
        name=name,
        collected=collected,
        waiting=waiting,
        given_up=given_up,
        given_up_at=given_up_at,
        sent_at=sent_at,
        error=error,
    )
