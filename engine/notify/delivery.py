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
from engine.system.background import wait_uncancelled

_SENDER: Final = (sys.executable, "-P", "-m", "engine.notify.sending")
_DIED: Final = "the process that sends it died"
_SILENT: Final = "the process that sends it takes longer than"
_LONGEST_LINE: Final = 2**20
"""Bytes of a line that it prints."""
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
    done: tuple[str, ...] = ()
    """Which of several services have it, each by a digest of its URL."""


async def deliver(recipient: Recipient, parcel: Parcel) -> DeliveryResult:
    """Try once. Never raises but for a cancel, which kills the process that sends it."""
    done = list(parcel.done)
    starting = asyncio.ensure_future(_started())
    try:
        process = await wait_uncancelled(starting)
    except asyncio.CancelledError:
        if starting.exception() is None:
            await _end(starting.result())
        raise
    except OSError as failure:
        why = f"the process that sends it cannot be started: {failure.strerror}"
        return DeliveryResult(error=why, done=parcel.done)
    try:
        async with asyncio.timeout(recipient.timeout + _STARTING):
            error, refused = await _said_by(process, _order(recipient, parcel), done)
    except TimeoutError:
        error, refused = f"{_SILENT} {counted(round(recipient.timeout), 'second')}", None
    finally:
        await _end(process)
    return DeliveryResult(error=error, done=tuple(done), refused=refused)


async def _started() -> asyncio.subprocess.Process:
    """Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *_SENDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        limit=_LONGEST_LINE,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await wait_uncancelled(asyncio.ensure_future(process.wait()))


async def _said_by(process: asyncio.subprocess.Process, order: bytes, done: list[str]) -> tuple[str | None, str | None]:
    """Why it failed, and who refused it. A service that took it is added to `done` at once.

    Its standard input stays open until then: it ends with it.
    """
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        return _DIED, None
    with suppress(ConnectionError):
        stdin.write(order)
        await stdin.drain()
    try:
        async for line in stdout:
            said = json.loads(line)
            if "done" not in said:
                return said["error"], said["refused"]
            done.append(said["done"])
    except (ValueError, LookupError, TypeError):
        return _DIED, None
    return _DIED, None


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
