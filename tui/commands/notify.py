"""`dbtend notify`: recipients, and a test message; also delivers messages at the end of a run."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from engine import Engine, StoreLocation
from engine.config.model import Config
from engine.domain.errors import DbtendError, StoreError, SystemLimitError, UsageError
from engine.domain.lazy_import import lazy
from engine.domain.notifications import Message, MessageText, Recipient, RecipientState
from engine.system.clock import now
from tui.commands import output
from tui.commands.naming import named
from tui.commands.report import columns
from tui.commands.run_async import run_async
from tui.commands.settings import Settings, with_engine
from tui.presentation.exit_codes import FAILED, OK
from tui.presentation.json_fields import fields
from tui.presentation.text import plain, zoned_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.notify import delivery
    from tui.presentation import notification_text
else:
    delivery = lazy("engine.notify.delivery", "only a delivery needs it")
    notification_text = lazy("tui.presentation.notification_text", "only a delivery needs it")


NO_SENDER: Final = "no permanent worker runs here, so no message is sent"
_Known = tuple[list[RecipientState], list[Message], str]
"""The recipients, their newest messages, and why no process delivers messages; "" if one does."""


def notify(args: argparse.Namespace, settings: Settings) -> int:
    recipients = _chosen(args.words, settings.config().notify)
    if args.test:
        if not args.words:
            raise UsageError("--test", "needs the NAME of a recipient", "such as: dbtend notify ops --test")
        return _test(recipients[0], as_json=args.json)
    name = args.words[0] if args.words else None
    nothing: _Known = [], [], f"{NO_SENDER}: start dbtend worker"
    states, messages, problem = run_async(_known(settings, recipients, name)) if settings.store.exists() else nothing
    by_name = {state.name: state for state in states}
    shown = [(recipient, by_name.get(recipient.name, RecipientState(name=recipient.name))) for recipient in recipients]
    if args.json:
        output.document(
            {
                "recipients": [_recipient_json(*one) for one in shown],
                "messages": [_message_json(message) for message in messages],
            }
        )
    elif shown:
        output.line("\n".join(columns([("NAME", "HOW", "SENT", "WAITING", "GIVEN UP", "ERROR"), *map(_row, shown)])))
        if messages:
            heading = ("AT", "STATUS", "TRIES", "MESSAGE", "ERROR")
            output.line("\n".join(["", *columns([heading, *map(_message_row, messages)])]))
    elif settings.config_path.exists():
        output.notice(f"{settings.config_path} has no recipient: add [notify.NAME]")
    else:
        output.notice(f"there is no config file {settings.config_path}: write one with a section [notify.NAME]")
    if problem and any(not recipient.from_runs for recipient in recipients):
        output.notice(problem)
    return FAILED if any(state.error for _, state in shown) else OK


def _chosen(words: Sequence[str], configured: Sequence[Recipient]) -> Sequence[Recipient]:
    if not words:
        return configured
    if len(words) > 1:
        raise UsageError("notify", "takes one NAME", "such as: dbtend notify ops --test")
    found = [recipient for recipient in configured if recipient.name == words[0]]
    if not found:
        known = ", ".join(recipient.name for recipient in configured)
        hint = f"known: {known}" if known else "add [notify.NAME] to the config file"
        raise UsageError(repr(words[0]), "is no recipient in the config file", hint)
    return found


def _test(recipient: Recipient, *, as_json: bool) -> int:
    text = notification_text.trial_message(recipient.name, now())
    result = run_async(delivery.deliver(recipient, delivery.Parcel(key=uuid.uuid4().hex, text=text)))
    error = result.error or result.refused
    if as_json:
        output.document({"recipient": recipient.name, "delivered": error is None, "error": error})
    elif error is None:
        output.line(f"{plain(recipient.name)}: the message was taken")
    if error is not None:
        output.notice(plain(f"notify {recipient.name}: {error}"))
    return OK if error is None else FAILED


async def _known(settings: Settings, recipients: Sequence[Recipient], name: str | None) -> _Known:
    """The recipients, with the newest messages to the one that is named."""
    async with settings.engine() as engine:
        states = await engine.recipient_states([recipient.name for recipient in recipients])
        messages = [] if name is None else await engine.messages(name)
        return states, messages, await _problem(engine, recipients)


async def _problem(engine: Engine, recipients: Sequence[Recipient]) -> str:
    try:
        is_told = await engine.tells_people([recipient.name for recipient in recipients])
        return "" if is_told else f"{NO_SENDER}: start dbtend worker"
    except StoreError as error:
        return str(error)


def _row(one: tuple[Recipient, RecipientState]) -> Sequence[str]:
    recipient, state = one
    waiting = state.waiting + bool(state.collected)
    return (
        plain(recipient.name),
        recipient.method.value,
        zoned_time(state.sent_at) or "never",
        str(waiting),
        str(state.given_up),
        plain(state.error or ""),
    )


def _message_row(message: Message) -> Sequence[str]:
    return (
        zoned_time(message.created_at),
        message.status.value.replace("_", " "),
        str(message.attempts),
        notification_text.summary(message, named=named),
        plain(message.error or ""),
    )


def _message_json(message: Message) -> dict[str, Any]:
    return {
        "message": message.key,
        **fields(message, "status", "created_at", "ended_at", "attempts"),
        "summary": notification_text.summary(message, named=named),
        "events": len(message.events) + message.left_out,
        "error": message.error,
    }


def _recipient_json(recipient: Recipient, state: RecipientState) -> dict[str, Any]:
    return {
        **fields(recipient, "name", "method", "on"),
        **fields(state, "sent_at", "collected", "waiting", "given_up", "given_up_at", "error"),
    }


def composing(store: StoreLocation) -> Callable[[Message], MessageText]:
    """Makes the text of messages about this store."""
    return partial(_compose, store=str(store))


def _compose(message: Message, *, store: str) -> MessageText:
    return notification_text.message_text(message, named=named, store=store)


def for_runs(config: Config) -> Config:
    """The config with those recipients only that a run tells, too."""
    return replace(config, notify=tuple(recipient for recipient in config.notify if recipient.from_runs))


@contextmanager
def telling_people(store: StoreLocation, config: Config) -> Iterator[None]:
    """Tell the recipients of what happens inside, at its end. That it fails changes no exit code."""
    if not config.notify:
        yield
        return
    with suppress(DbtendError, OSError):  # it is done at the end, too
        names = [recipient.name for recipient in config.notify]
        with_engine(Engine.open(store), lambda engine: engine.register_recipients(names))
    yield
    try:
        errors = with_engine(Engine.open(store), lambda engine: engine.notify_now(lambda: config, composing(store)))
    except KeyboardInterrupt:  # the run is over: its exit code stands
        errors = ["interrupted"]
    except Exception as error:
        known = error if isinstance(error, DbtendError) else SystemLimitError.of(error)
        errors = [str(known or f"internal error: {type(error).__name__}")]
    for error_text in errors:
        output.notice(f"notify {plain(error_text)}; the next run or worker tries again")
