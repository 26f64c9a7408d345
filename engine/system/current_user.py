"""The user of this process."""

from __future__ import annotations

import getpass
import os

from engine.system.host import host_name


def user_at_host() -> str:
    """`user@host`, for other users of the store."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the uid has no name
        user = str(os.getuid())
    return f"{user}@{host_name()}"
