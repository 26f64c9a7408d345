"""What this host is called, and which machine it is, for others that share a store with it."""

from __future__ import annotations

import os
import re
import socket
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
    """What tells this machine from others, whatever they are called; "" where the system does not say.

    It is made from the id of the machine, which is not for others to know.
    """
    for path in _IDS:
        with suppress(OSError):
            if known := path.read_text().strip():
                return hashlib.sha256(f"dbtend {known}".encode()).hexdigest()[:16]
    return ""
