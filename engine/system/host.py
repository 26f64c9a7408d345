"""What this host is called, and which machine it is, for others that share a store with it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.domain.errors import UsageError
from engine.domain.lazy_import import lazy

if TYPE_CHECKING:
    import hashlib
else:
    hashlib = lazy("hashlib", "only a shared store needs it")

VARIABLE: Final = "DBTEND_HOST"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_IDS: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_PROCESS_NUMBERS: Final = Path("/proc/self/ns/pid")
"""Differs where processes have numbers of their own, as in a container."""


def host_name() -> str:
    """The name of this host: as its system has it, unless `DBTEND_HOST` says otherwise. Raises UsageError."""
    given = os.environ.get(VARIABLE)
    if not given:
        return socket.gethostname()
    if not _NAME.fullmatch(given):
        hint = "use letters, digits, dots, hyphens and underscores"
        raise UsageError(f"{VARIABLE}={given}", "is no name of a host", hint)
    return given


def machine_id() -> str:
    """What tells this machine from others, whatever they are called: `id/start/processes`, each "" if it is unknown.

    Clones of one image have one id, but each was started by itself. Containers of a machine differ in the last part
    alone: each counts its own processes. They are hashes: an id of a machine is not for others to know.
    """
    processes = ""
    with suppress(OSError):
        processes = str(_PROCESS_NUMBERS.stat().st_ino)
    return "/".join(map(_hash, (_first_text(_IDS), _first_text((_BOOT,)), processes)))


def _first_text(paths: Sequence[Path]) -> str:
    for path in paths:
        with suppress(OSError):
            if text := path.read_text().strip():
                return text
    return ""


def _hash(text: str) -> str:
    return text and hashlib.sha256(f"dbtend {text}".encode()).hexdigest()[:16]
