"""Notifications in the store: collected events, and messages until they are delivered.

Each write is one transaction: an event is collected once with the change that it comes from, and is in one message.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Collection, Iterable
from typing import Final

from engine.domain.notifications import MOST_EVENTS, Event, EventKind, MessageStatus
from engine.domain.steps import Micros
from engine.store.notification_rows import MESSAGE, MESSAGES_KEPT
from engine.store.rows import FIRING, storable
from engine.store.sqlite.queries import LAST_CHANGE

SEEN: Final = "SELECT name, seen FROM recipient"
BEFORE: Final = "SELECT coalesce((SELECT seq FROM event WHERE at < :since ORDER BY seq DESC LIMIT 1), 0)"
"""The change from which on a recipient hears of events."""
OTHERS: Final = """SELECT name,
    (SELECT count(*) FROM message INDEXED BY message_waiting WHERE recipient = name AND status = 'waiting'),
    (SELECT count(*) FROM notification WHERE recipient = name AND message_id IS NULL)
FROM recipient WHERE name NOT IN (SELECT value FROM json_each(?))"""
WAITING: Final = f"SELECT {', '.join(MESSAGE)} FROM message WHERE status = 'waiting' ORDER BY id"
NEWEST: Final = f"SELECT {', '.join(MESSAGE)} FROM message WHERE recipient = :recipient ORDER BY id DESC LIMIT :limit"
EVENTS: Final = f"""SELECT kind, at, target, parent_id, ordinal, schedule, facts FROM notification
WHERE message_id = :id ORDER BY id LIMIT {MOST_EVENTS}"""
NUMBER_OF_EVENTS: Final = "SELECT count(*) FROM notification WHERE message_id = :id"
_IS_URGENT: Final = (
    "(kind = 'critical' OR coalesce(json_extract(facts, '$.is_running'), json_extract(facts, '$.is_urgent'), 0))"
)
"""What a person may act on before the night is over."""
COLLECTED: Final = f"""SELECT recipient, min(created_at) FROM notification
WHERE message_id IS NULL AND (NOT :only_urgent OR {_IS_URGENT}) GROUP BY recipient"""
NEWLY_CRITICAL: Final = """SELECT target FROM survey INDEXED BY survey_critical
WHERE (level = 'critical' OR reason = 'gone')
    AND NOT EXISTS (SELECT 1 FROM told_critical AS t WHERE t.recipient = :recipient AND t.target = survey.target)"""
NO_LONGER_CRITICAL: Final = """SELECT t.target FROM told_critical AS t JOIN survey AS s ON s.target = t.target
WHERE t.recipient = :recipient AND s.level <> 'critical' AND s.reason IS NOT 'gone' AND s.surveyed_at > t.at"""
FIRINGS_TO_TELL: Final = f"""SELECT {", ".join(FIRING)} FROM firing AS f INDEXED BY firing_due_at
WHERE f.due_at >= :since AND (f.status = 'missed' OR (f.status = 'skipped' AND f.reason = 'still_running')
        OR (f.status = 'fired' AND f.error IS NOT NULL))
    AND f.recorded_at >= (SELECT registered_at FROM recipient WHERE name = :recipient)
    AND NOT EXISTS (SELECT 1 FROM notification AS n WHERE n.recipient = :recipient AND n.schedule = f.schedule
        AND n.at = f.due_at AND n.target = '' AND n.kind = CASE f.status WHEN 'fired' THEN 'failed' ELSE f.status END)
ORDER BY f.due_at"""
FIRED_AFTER_ALL: Final = f"""SELECT {", ".join(f"f.{name}" for name in FIRING)}
FROM firing AS f INDEXED BY firing_due_at
WHERE f.due_at >= :since AND f.status = 'fired'
    AND EXISTS (SELECT 1 FROM notification AS n WHERE n.recipient = :recipient AND n.schedule = f.schedule
        AND n.at = f.due_at AND n.kind = 'missed' AND n.target = '')
    AND NOT EXISTS (SELECT 1 FROM notification AS n WHERE n.recipient = :recipient AND n.schedule = f.schedule
        AND n.at = f.due_at AND n.kind = 'recovered' AND n.target = '')
ORDER BY f.due_at"""
LAST_OUTCOME: Final = """SELECT c.status, p.id FROM parent_job AS p INDEXED BY parent_job_target
CROSS JOIN child_job AS c INDEXED BY child_job_operation ON c.operation = :operation AND c.parent_id = p.id
WHERE p.target = :target AND p.id < :before AND (c.status = 'completed' OR c.status = 'failed')
    AND p.id >= coalesce((
        SELECT id FROM parent_job WHERE target = :target AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :jobs), 0)
ORDER BY p.id DESC LIMIT 1"""
"""How an operation ended on a target the last time before a job, of those that completed or failed."""
STATES: Final = """SELECT name,
    (SELECT count(*) FROM notification WHERE recipient = name AND message_id IS NULL),
    (SELECT count(*) FROM message WHERE recipient = name AND status = 'waiting'),
    (SELECT count(*) FROM message WHERE recipient = name AND status = 'given_up'),
    (SELECT max(ended_at) FROM message WHERE recipient = name AND status = 'given_up'),
    (SELECT max(ended_at) FROM message WHERE recipient = name AND status = 'sent'),
    (SELECT error FROM message WHERE recipient = name ORDER BY id DESC LIMIT 1)
FROM (SELECT value AS name FROM json_each(:names))"""


def register(connection: sqlite3.Connection, names: Collection[str], at: Micros, since: Micros | None = None) -> None:
    """Register new recipients: they hear of events from now on, and of those since an earlier time."""
    since = at if since is None else min(since, at)
    (seen,) = connection.execute(LAST_CHANGE if since == at else BEFORE, {"since": since}).fetchone()
    connection.executemany(
        "INSERT OR IGNORE INTO recipient (name, seen, registered_at) VALUES (?, ?, ?)",
        [(storable(name), seen, since) for name in names],
    )


def forget(connection: sqlite3.Connection, kept: Collection[str]) -> dict[str, int]:
    """Drop what waits for all other recipients; by name how many messages and events that were."""
    names = json.dumps([storable(name) for name in kept])
    gone = [(str(name), int(messages) + int(events)) for name, messages, events in connection.execute(OTHERS, (names,))]
    for name, _ in gone:
        connection.execute("DELETE FROM message WHERE recipient = ? AND status = 'waiting'", (name,))
        connection.execute("DELETE FROM notification WHERE recipient = ? AND message_id IS NULL", (name,))
        connection.execute("DELETE FROM told_critical WHERE recipient = ?", (name,))
        connection.execute("DELETE FROM recipient WHERE name = ?", (name,))
    return dict(gone)


def collect(
    connection: sqlite3.Connection,
    recipient: str,
    events: Iterable[Event],
    seen: int,
    calm: Collection[str],
    at: Micros,
) -> None:
    """Keep events for a recipient, and up to which change they were collected.

    `calm`: targets that are no longer critical.
    """
    connection.execute("UPDATE recipient SET seen = max(seen, ?) WHERE name = ?", (seen, storable(recipient)))
    connection.execute(
        "DELETE FROM told_critical WHERE recipient = ? AND target IN (SELECT value FROM json_each(?))",
        (storable(recipient), json.dumps([storable(target) for target in calm])),
    )
    newly_critical = set[int]()
    for event in events:
        if event.job is not None and event.job.parent in newly_critical and event.facts.get("is_damage"):
            continue  # that it is critical says so
        if event.kind is EventKind.CRITICAL:
            told = "INSERT INTO told_critical (recipient, target, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            if not connection.execute(told, (storable(recipient), storable(event.target), event.at)).rowcount:
                continue
            newly_critical |= {event.job.parent} if event.job else set()
        job = event.job
        connection.execute(
            "INSERT INTO notification (recipient, kind, at, target, parent_id, ordinal, schedule, facts, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(storable(recipient), event.kind, event.at, storable(event.target)),
                *((job.parent, job.ordinal) if job else (None, None)),
                *(storable(event.schedule), storable(json.dumps(dict(event.facts))), at),
            ),
        )


def make_message(connection: sqlite3.Connection, recipient: str, at: Micros, *, only_urgent: bool = False) -> None:
    """Put all collected events of a recipient into one message, and remove old ones."""
    _remove_old(connection, at)
    collected = "recipient = ? AND message_id IS NULL" + (f" AND {_IS_URGENT}" if only_urgent else "")
    if not connection.execute(f"SELECT 1 FROM notification WHERE {collected}", (storable(recipient),)).fetchone():
        return
    (message_id,) = connection.execute(
        "INSERT INTO message (key, recipient, status, created_at, next_try_at) VALUES (?, ?, 'waiting', ?, ?)"
        " RETURNING id",
        (uuid.uuid4().hex, storable(recipient), at, at),
    ).fetchone()
    connection.execute(
        f"UPDATE notification SET message_id = ? WHERE {collected}",
        (message_id, storable(recipient)),
    )


def take_over(connection: sqlite3.Connection, recipients: Collection[str], at: Micros) -> None:
    """Let messages be tried again at once that a dead process was delivering to them."""
    connection.executemany(
        "UPDATE message SET sending = 0, next_try_at = ? WHERE sending = 1 AND recipient = ?",
        [(at, storable(recipient)) for recipient in recipients],
    )


def _remove_old(connection: sqlite3.Connection, at: Micros) -> None:
    """What waits for a recipient that is no longer in the config, too."""
    old = at - MESSAGES_KEPT
    connection.execute("DELETE FROM message WHERE ended_at < ?", (old,))
    connection.execute("DELETE FROM message WHERE status = 'waiting' AND created_at < ?", (old,))
    connection.execute("DELETE FROM notification WHERE message_id IS NULL AND created_at < ?", (old,))


def begin_attempt(connection: sqlite3.Connection, message_id: int) -> None:
    connection.execute("UPDATE message SET attempts = attempts + 1, sending = 1 WHERE id = ?", (message_id,))


def end_attempt(
    connection: sqlite3.Connection,
    message_id: int,
    status: MessageStatus,
    error: str | None,
    done: Collection[str],
    at: Micros,
    next_try_at: Micros,
) -> None:
    connection.execute(
        "UPDATE message SET sending = 0, status = ?1, error = ?2, done = ?3, next_try_at = ?4,"
        " ended_at = iif(?1 = 'waiting', NULL, ?5) WHERE id = ?6 AND status = 'waiting'",
        (status, storable(error), json.dumps(sorted(done)), next_try_at, at, message_id),
    )
