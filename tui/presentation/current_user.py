"""Who sits here."""

from __future__ import annotations

import getpass
import os
import socket


def user_at_host() -> str:
    """`user@host`, as others are told."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
