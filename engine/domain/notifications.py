"""Notifications: events, and the messages that carry them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, Final

from engine.domain.batches import Batch
from engine.domain.frozen import frozen
from engine.domain.jobs import JobId
from engine.domain.schedules import Firing
from engine.domain.steps import Facts, Micros


class EventKind(StrEnum):
    """What happened, the most urgent first."""

    CRITICAL = "critical"
    """A database became critical, by a check or a survey."""
    FAILED = "failed"
    MISSED = "missed"
    """A schedule was not fired in time."""
    SKIPPED = "skipped"
    """A schedule was due while jobs of its last due time were open."""
    NOT_BEGUN = "not_begun"
    """The window of a job left operations, or steps of them, that did not begin."""
    LONGER_THAN_USUAL = "longer_than_usual"
    """An operation took longer than usual, or does so now."""
    RECOVERED = "recovered"
    """An operation completed that had failed the last time."""


@frozen(kw_only=True)
class Event:
    """One thing that happened."""

    kind: EventKind
    at: Micros
    target: str = ""
    """The canonical URL of the database; "" for a schedule."""
    job: JobId | None = None
    schedule: str = ""
    """The schedule that was missed, or whose job it is."""
    facts: Facts = field(default_factory=dict)


class Method(StrEnum):
    """How messages are delivered."""

    COMMAND = "command"
    WEBHOOK = "webhook"
    EMAIL = "email"
    APPRISE = "apprise"


class Tls(StrEnum):
    """How the connection to a mail server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@frozen
class Secret:
    """Where a secret is read when it is needed."""

    file: str | None = None
    command: tuple[str, ...] = ()
    """A program that prints it; no shell reads it."""


@frozen(kw_only=True)
class Recipient:
    """A recipient: its events, and how messages reach it. What the keys mean is in `config/keys.py`."""

    name: str
    method: Method
    on: tuple[EventKind, ...] = tuple(EventKind)
    settle: float = 60.0
    """Seconds without an open job after which a message is sent."""
    latest: float = 8 * 3600.0
    """Seconds after its first event at which a message is sent at the latest, even while jobs are open."""
    longer_by: float = 10.0
    """Seconds that an operation that took longer than usual took longer."""
    from_runs: bool = False
    timeout: float = 30.0
    command: tuple[str, ...] = ()
    json: bool = False
    webhook: str = ""
    webhook_secret: Secret | None = None
    """Where the URL is read, if it is a secret."""
    token: Secret | None = None
    host: str = ""
    port: int = 0
    tls: Tls = Tls.STARTTLS
    sender: str = ""
    to: tuple[str, ...] = ()
    user: str = ""
    password: Secret | None = None
    apprise: Secret | None = None


@frozen
class ToldBatch:
    """A batch of whose jobs a message tells."""

    batch: Batch
    firing: Firing | None = None
    """The due time that started it, if one did and it is on record."""


class MessageStatus(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given_up"


@frozen(kw_only=True)
class Message:
    """The events of one message."""

    id: int
    key: str
    """Names it for good: each attempt to deliver it carries the same one."""
    recipient: str
    status: MessageStatus
    created_at: Micros
    attempts: int = 0
    next_try_at: Micros
    ended_at: Micros | None = None
    error: str | None = None
    """Why the last attempt failed; of one that was sent, who refused it."""
    done: tuple[str, ...] = ()
    """Which of several services of its recipient have it, each by a digest of its URL."""
    events: tuple[Event, ...] = ()
    left_out: int = 0
    """The number of further events."""
    batches: tuple[ToldBatch, ...] = ()
    """The batches of its jobs, at the time when it is sent."""
    zones: Mapping[str, str] = field(default_factory=dict)
    """The time zones of schedules, by name."""


@frozen
class MessageText:
    """A message that is ready for delivery."""

    subject: str
    text: str
    document: Mapping[str, Any]
    """The message as JSON."""


@frozen(kw_only=True)
class DeliveryResult:
    error: str | None = None
    """Why it failed; None if it was taken."""
    done: tuple[str, ...] = ()
    refused: str | None = None
    """Who refused it, although others took it."""


@frozen(kw_only=True)
class RecipientState:
    """The record of a recipient in the store."""

    name: str
    collected: int = 0
    """The number of events that are in no message yet."""
    waiting: int = 0
    """The number of messages that are not delivered yet."""
    given_up: int = 0
    """The number of messages on record that could not be delivered."""
    given_up_at: Micros | None = None
    """When a message was given up last."""
    sent_at: Micros | None = None
    """When a message was delivered last."""
    error: str | None = None
    """Why the newest attempt failed, or who refused it; None if all took it."""


MOST_EVENTS: Final = 1_000
"""The events that one message lists."""


def most_urgent_first(events: Collection[Event]) -> list[Event]:
    kinds = list(EventKind)
    return sorted(events, key=lambda event: (kinds.index(event.kind), event.at))
