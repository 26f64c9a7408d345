"""The user's clipboard at the other end of the SSH connection, reached through the terminal."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tui.presentation.text import plain_lines, size

MOST: Final = 74_994
"""Bytes of an OSC 52 sequence that common terminals still take (xterm's limit)."""
_PATIENCE: Final = 2.0
"""Seconds that tmux may take."""
_WITHOUT: Final = frozenset({"linux", "dumb", "vt100", "vt220"})
"""Terminals (TERM) that have no clipboard."""


async def copy(
    what: str, text: str, send: Callable[[str], object], file: Path | None, environ: Mapping[str, str]
) -> str:
    """Copy `text` to the clipboard or else into a file; returns a message with the result.

    Args:
        what: names the text in the message.
        send: writes to the terminal.
        file: takes the text that no clipboard can take.
    """
    text = plain_lines(text)  # it may be pasted into a terminal
    its_size = size(len(text.encode(errors="replace")))
    sequence = osc52(text)
    if sequence is not None and is_reachable(environ):
        if not await through_tmux(text, environ):
            send(sequence)
        return f"Copied {what} ({its_size})."
    why = "this terminal has no clipboard" if sequence is not None else "it is too long for a clipboard"
    if file is None:
        return f"Not copied: {what} ({its_size}): {why}."
    try:
        into_file(file, text)
    except OSError as error:
        return f"Not copied: {file} cannot be written: {error.strerror}."
    return f"Written to {file}: {what} ({its_size}). Reason: {why}."


def osc52(text: str) -> str | None:
    """The escape sequence that copies `text` to the clipboard; None: too long."""
    encoded = base64.b64encode(text.encode(errors="replace")).decode()
    sequence = f"\x1b]52;c;{encoded}\a"
    return sequence if len(sequence) <= MOST else None


def is_reachable(environ: Mapping[str, str]) -> bool:
    return environ.get("TERM", "") not in _WITHOUT


async def through_tmux(text: str, environ: Mapping[str, str]) -> bool:
    """Copy through tmux, which by default ignores the sequence of a program but sends its own."""
    if not environ.get("TMUX"):
        return False
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux", "load-buffer", "-w", "-",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:
        return False
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.communicate(text.encode(errors="replace"))
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return False
    return process.returncode == 0


def into_file(path: Path, text: str) -> None:
    """Write `text` whole into a file that only its user may read. Raises OSError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
