"""Delivers a message to a recipient, by a process of its own: what hangs is killed at its time limit."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any, Final

from engine.domain.frozen import frozen
from engine.domain.humanize import counted
from engine.domain.notifications import DeliveryResult, MessageText, Recipient, Secret

_SENDER: Final = (sys.executable, "-P", "-m", "engine.notify.sending")
_DIED: Final = "the process that sends it died"
_SILENT: Final = "the process that sends it takes longer than"
_STARTING: Final = 5.0
"""Seconds in which that process starts; it keeps to the time limit itself."""
_SETTINGS: Final = (
    *("command", "json", "webhook", "webhook_secret", "token", "host", "port", "tls", "sender", "to", "user"),
    *("password", "apprise"),
)


@frozen(kw_only=True)
class Parcel:
    """A message on its way."""

    key: str
    text: MessageText
    done: tuple[int, ...] = ()
    """Which of several services have it."""


async def deliver(recipient: Recipient, parcel: Parcel) -> DeliveryResult:
    """Try once. Never raises but for a cancel, which kills the process that sends it."""
    try:
        process = await asyncio.create_subprocess_exec(
            *_SENDER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return DeliveryResult(error=f"the process that sends it cannot be started: {error.strerror}", done=parcel.done)
    try:
        async with asyncio.timeout(recipient.timeout + _STARTING):
            return await _result_of(process, _order(recipient, parcel), parcel.done)
    except TimeoutError:
        return DeliveryResult(error=f"{_SILENT} {counted(round(recipient.timeout), 'second')}", done=parcel.done)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


async def _result_of(process: asyncio.subprocess.Process, order: bytes, done: tuple[int, ...]) -> DeliveryResult:
    """Its standard input stays open meanwhile: it ends with it."""
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        return DeliveryResult(error=_DIED, done=done)
    with suppress(ConnectionError):
        stdin.write(order)
        await stdin.drain()
    try:
        result = json.loads(await stdout.read())
        return DeliveryResult(error=result["error"], done=tuple(result["done"]), refused=result["refused"])
    except (ValueError, LookupError, TypeError):
        return DeliveryResult(error=_DIED, done=done)


def _order(recipient: Recipient, parcel: Parcel) -> bytes:
    order = {
        "method": recipient.method,
        "key": parcel.key,
        "subject": parcel.text.subject,
        "text": parcel.text.text,
        "document": parcel.text.document,
        "settings": {name: _plain(getattr(recipient, name)) for name in _SETTINGS},
        "done": parcel.done,
        "timeout": recipient.timeout,
    }
    return f"{json.dumps(order)}\n".encode()


def _plain(value: Any) -> Any:
    return {"file": value.file, "command": value.command} if isinstance(value, Secret) else value
