"""The doctor's checks of notifications: readable secrets, delivered messages."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from engine import Engine
from engine.domain.errors import StoreError
from engine.domain.notifications import Method, Recipient, RecipientState, Secret
from engine.system.clock import now
from engine.system.private_files import exposure, program_exposure
from tui.commands.notify import NO_SENDER
from tui.commands.settings import Settings
from tui.presentation.health_check import Check, Level
from tui.presentation.text import counted, zoned_time

_GIVEN_UP_SHOWN: Final = 7 * 86_400_000_000
"""Microseconds in which the doctor names a message that was given up."""


def secrets(recipients: Sequence[Recipient]) -> Iterator[Check]:
    """What keeps a message from being sent, or lets others read a secret."""
    for recipient in recipients:
        what = f"notify {recipient.name}"
        if recipient.method is Method.APPRISE and find_spec("apprise") is None:
            fix = "pip install '.[notify]' in the directory of its source"
            yield Check(Level.PROBLEM, what, "apprise is not installed", fix)
        commands = [secret.command for secret in _secrets_of(recipient)] + [recipient.command]
        for command in filter(None, commands):
            if shutil.which(command[0]) is None:
                yield Check(Level.PROBLEM, what, f"{command[0]} is no program", "give the path of one that can be run")
            with suppress(OSError):
                if (found := program_exposure(command)) is not None:
                    yield Check(Level.PROBLEM, what, str(found), found.fix)
        for path in [Path(secret.file) for secret in _secrets_of(recipient) if secret.file is not None]:
            yield from _file(what, path)


def _secrets_of(recipient: Recipient) -> list[Secret]:
    found = (recipient.webhook_secret, recipient.token, recipient.password, recipient.apprise)
    return [secret for secret in found if secret is not None]


def _file(what: str, path: Path) -> Iterator[Check]:
    if not path.is_file() or not os.access(path, os.R_OK):
        yield Check(Level.PROBLEM, what, f"{path} cannot be read", "it must be a file that this user can read")
        return
    with suppress(OSError):
        if (found := exposure(path)) is not None:
            yield Check(Level.PROBLEM, what, str(found), found.fix)
        elif (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            yield Check(Level.WARN, what, f"{path} is open to others ({mode:04o})", f"chmod 600 {path}")


async def _process(engine: Engine, recipients: Sequence[Recipient]) -> list[Check]:
    try:
        names = [recipient.name for recipient in recipients]
        if not await engine.tells_people(names) and any(not recipient.from_runs for recipient in recipients):
            return [Check(Level.WARN, "notify", NO_SENDER, "start one: dbtend worker")]
        return []
    except StoreError as error:
        return [Check(Level.PROBLEM, "notify", f"{error.what} {error.why}", error.hint)]


async def deliveries(settings: Settings, recipients: Sequence[Recipient]) -> list[Check]:
    """Whether messages arrive; nothing where the store cannot be read, which another check says."""
    if not recipients:
        return []
    try:
        async with settings.engine() as engine:
            states = await engine.recipient_states([recipient.name for recipient in recipients])
            found = await _process(engine, recipients)
    except StoreError:
        return []
    return [*found, *(check for state in states for check in _deliveries_to(state))]


def _deliveries_to(state: RecipientState) -> Iterator[Check]:
    what = f"notify {state.name}"
    if state.error is None:
        last = f"last message {zoned_time(state.sent_at)}" if state.sent_at else "no message yet"
        yield Check(Level.OK, what, last)
    else:
        text = f"{counted(state.waiting, 'message')} not delivered: {state.error}" if state.waiting else state.error
        yield Check(Level.PROBLEM, what, text, f"try it: dbtend notify {state.name} --test")
    if state.given_up_at is not None and now() - state.given_up_at < _GIVEN_UP_SHOWN:
        text = f"{counted(state.given_up, 'message')} given up, the last one {zoned_time(state.given_up_at)}"
        yield Check(Level.WARN, what, text, f"read what they said: dbtend notify {state.name}")
