"""Keeps events for recipients, and their messages until they are delivered; see `NotificationStore`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from engine.domain.notifications import MOST_EVENTS, Event, Message, MessageStatus, RecipientState
from engine.domain.requests import Operation
from engine.domain.schedules import Firing
from engine.domain.statuses import Status
from engine.domain.steps import Micros
from engine.store.notification_rows import (
    MESSAGE,
    MESSAGES_KEPT,
    MISSED_TOLD,
    decode_message,
    decode_recipient,
    decode_seen,
)
from engine.store.postgres import values
from engine.store.postgres.store_base import StoreBase
from engine.store.row_checks import UnsoundRowError
from engine.store.rows import FIRING, decode_firing

_WAITING: Final = f"SELECT {', '.join(MESSAGE)} FROM message WHERE status = 'waiting' ORDER BY id"
_NEWEST: Final = f"""SELECT {", ".join(MESSAGE)} FROM message
WHERE recipient = %(recipient)s ORDER BY id DESC LIMIT %(limit)s"""
_EVENTS: Final = f"""SELECT kind, at, target, parent_id, ordinal, schedule, facts FROM notification
WHERE message_id = %(id)s ORDER BY id LIMIT {MOST_EVENTS}"""
_NUMBER_OF_EVENTS: Final = "SELECT count(*) FROM notification WHERE message_id = %(id)s"
_COLLECTED: Final = """SELECT recipient, min(created_at) FROM notification AS n
WHERE message_id IS NULL AND (NOT %(only_urgent)s OR is_urgent(n)) GROUP BY recipient"""
_NEWLY_CRITICAL: Final = """SELECT target FROM survey WHERE (level = 'critical' OR reason = 'gone') AND NOT EXISTS (
    SELECT FROM told_critical AS t WHERE t.recipient = %(recipient)s AND t.target = survey.target)"""
_NO_LONGER_CRITICAL: Final = """SELECT t.target FROM told_critical AS t JOIN survey AS s ON s.target = t.target
WHERE t.recipient = %(recipient)s AND s.level <> 'critical'
    AND s.reason IS DISTINCT FROM 'gone' AND s.surveyed_at > t.at"""
_FIRINGS_TO_TELL: Final = f"""SELECT {", ".join(FIRING)} FROM firing AS f
WHERE f.due_at >= %(since)s AND (f.status = 'missed' OR (f.status = 'skipped' AND f.reason = 'still_running')
        OR (f.status = 'fired' AND f.error IS NOT NULL))
    AND f.recorded_at >= (SELECT registered_at FROM recipient WHERE name = %(recipient)s)
    AND NOT EXISTS (SELECT FROM notification AS n WHERE n.recipient = %(recipient)s AND n.schedule = f.schedule
        AND n.at = f.due_at AND n.target = '' AND n.kind = CASE f.status WHEN 'fired' THEN 'failed' ELSE f.status END)
ORDER BY f.due_at"""
_FIRED_AFTER_ALL: Final = f"""SELECT {", ".join(f"f.{name}" for name in FIRING)} FROM firing AS f
WHERE f.due_at >= %(since)s AND f.status = 'fired'
    AND EXISTS (SELECT FROM notification AS n WHERE n.recipient = %(recipient)s AND n.schedule = f.schedule
        AND n.at = f.due_at AND n.kind = 'missed' AND n.target = '')
    AND NOT EXISTS (SELECT FROM notification AS n WHERE n.recipient = %(recipient)s AND n.schedule = f.schedule
        AND n.at = f.due_at AND n.kind = 'recovered' AND n.target = '')
ORDER BY f.due_at"""
_LAST_OUTCOME: Final = """SELECT c.status, p.id
FROM parent_job AS p JOIN child_job AS c ON c.operation = %(operation)s AND c.parent_id = p.id
WHERE p.target = %(target)s AND p.id < %(before)s AND c.status IN ('completed', 'failed')
    AND p.id >= coalesce((
        SELECT id FROM parent_job WHERE target = %(target)s AND id < %(before)s
        ORDER BY id DESC LIMIT 1 OFFSET %(jobs)s), 0)
ORDER BY p.id DESC LIMIT 1"""
"""How an operation ended on a target the last time before a job, of those that completed or failed."""
_STATES: Final = """SELECT name,
    (SELECT count(*) FROM notification WHERE recipient = name AND message_id IS NULL),
    (SELECT count(*) FROM message WHERE recipient = name AND status = 'waiting'),
    (SELECT count(*) FROM message WHERE recipient = name AND status = 'given_up'),
    (SELECT max(ended_at) FROM message WHERE recipient = name AND status = 'given_up'),
    (SELECT max(ended_at) FROM message WHERE recipient = name AND status = 'sent'),
    (SELECT error FROM message WHERE recipient = name ORDER BY id DESC LIMIT 1)
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS x (name, place) ORDER BY place"""


class Notifications(StoreBase):
    """See `NotificationStore`."""

    async def register_recipients(self, names: Collection[str], *, since: Micros | None = None) -> None:
        await self._pool.call("register_recipients", _clean(names), since, self._at())

    async def forget_recipients(self, kept: Collection[str]) -> Mapping[str, int]:
        rows = await self._pool.write("SELECT name, number FROM forget_recipients(%s)", (_clean(kept),))
        return {str(name): int(number) for name, number in rows}

    async def seen_by_recipients(self) -> Mapping[str, int]:
        return dict(map(decode_seen, await self._pool.rows("SELECT name, seen FROM recipient")))

    async def collect_events(
        self, recipient: str, events: Sequence[Event], *, seen: int, calm: Collection[str] = ()
    ) -> None:
        found, over = values.events(events, self._targets_here), [self._stored(target) for target in calm]
        await self._pool.call("collect_events", values.clean(recipient), found, seen, over, self._at())

    async def collected_since(self, *, only_urgent: bool = False) -> Mapping[str, Micros]:
        rows = await self._pool.rows(_COLLECTED, {"only_urgent": only_urgent})
        return {str(name): int(at) for name, at in rows}

    async def newly_critical(self, recipient: str) -> list[str]:
        rows = await self._pool.rows(_NEWLY_CRITICAL, {"recipient": values.clean(recipient)})
        return [self._targets_here.here(target) for (target,) in rows]

    async def no_longer_critical(self, recipient: str) -> list[str]:
        rows = await self._pool.rows(_NO_LONGER_CRITICAL, {"recipient": values.clean(recipient)})
        return [self._targets_here.here(target) for (target,) in rows]

    async def firings_to_tell(self, recipient: str) -> list[Firing]:
        asked = {"recipient": values.clean(recipient), "since": await self._now() - MISSED_TOLD}
        return [decode_firing(row) for row in await self._pool.rows(_FIRINGS_TO_TELL, asked)]

    async def newly_fired_after_all(self, recipient: str) -> list[Firing]:
        asked = {"recipient": values.clean(recipient), "since": await self._now() - MISSED_TOLD}
        return [decode_firing(row) for row in await self._pool.rows(_FIRED_AFTER_ALL, asked)]

    async def last_outcome(
        self, target: str, operation: Operation, *, before: int, jobs: int
    ) -> tuple[Status, int] | None:
        asked = {"target": self._stored(target), "operation": operation, "before": before, "jobs": jobs}
        rows = await self._pool.rows(_LAST_OUTCOME, asked)
        return (Status(rows[0][0]), int(rows[0][1])) if rows else None

    async def make_message(self, recipient: str, *, only_urgent: bool = False) -> None:
        asked = (values.clean(recipient), uuid.uuid4().hex, only_urgent, MESSAGES_KEPT, self._at())
        await self._pool.call("make_message", *asked)

    async def take_over_messages(self, recipients: Collection[str]) -> None:
        await self._pool.call("take_over_messages", _clean(recipients), self._at())

    async def waiting_messages(self) -> list[Message]:
        return await self._messages(_WAITING, {})

    async def newest_messages(self, recipient: str, *, limit: int) -> list[Message]:
        return await self._messages(_NEWEST, {"recipient": values.clean(recipient), "limit": limit})

    async def _messages(self, query: str, asked: Mapping[str, Any]) -> list[Message]:
        found = []
        for row in await self._pool.rows(query, asked):
            rows = await self._pool.rows(_EVENTS, {"id": row[0]})
            events = self._here(rows, 2)
            ((number,),) = await self._pool.rows(_NUMBER_OF_EVENTS, {"id": row[0]})
            with suppress(UnsoundRowError):  # the others are still delivered
                found.append(decode_message(row, events, int(number)))
        return found

    async def begin_delivery(self, message_id: int) -> None:
        await self._pool.call("begin_delivery", message_id)

    async def end_delivery(
        self, message_id: int, status: MessageStatus, *, error: str | None, done: Collection[str], next_try_at: Micros
    ) -> None:
        problem, took = values.cleaned(error), json.dumps(sorted(_clean(done)))
        await self._pool.call("end_delivery", message_id, status, problem, took, next_try_at, self._at())

    async def recipient_states(self, names: Collection[str]) -> list[RecipientState]:
        return [decode_recipient(row) for row in await self._pool.rows(_STATES, {"names": _clean(names)})]


def _clean(texts: Collection[str]) -> list[str]:
    return [values.clean(text) for text in texts]
