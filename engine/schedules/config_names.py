"""Which config file a schedule belongs to, and whether that one fires it. In a shared store a file is one of a host."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config.reader import load_config
from engine.domain.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from engine.store.protocol import Store


def config_name(config: Path, store: Store) -> str:
    """What a config file is called in the store: its path, in a shared store after the host."""
    path = str(config.absolute())
    return path if store.hosts is None else f"{store.hosts.host}:{path}"


def role_of(config: str) -> str:
    """The role of the process that fires the schedules of the config file with this name."""
    return f"schedules-{hashlib.sha256(os.fsencode(config)).hexdigest()[:16]}"


async def fired_by(other: str, schedule: str, store: Store) -> UsageError | None:
    """Why a schedule does not fire here: another config file has one of its name, and fires it.

    That of another host cannot be read: it does so while a permanent worker there fires its schedules.

    Raises StoreError.
    """
    (host, _, path), hint = other.partition(":"), "rename one"
    if other.startswith("/") or store.hosts is None:
        fires = await asyncio.to_thread(_defines, Path(other), schedule)
    elif host == store.hosts.host:
        fires = await asyncio.to_thread(_defines, Path(path), schedule)
    else:
        fires, hint = await store.role_is_held(role_of(other)), "a worker here takes over if none is there"
    return UsageError(f"schedule {schedule}", f"is in {other}, too, which fires it", hint) if fires else None


def _defines(config: Path, schedule: str) -> bool:
    """Whether a config file has a schedule of this name; True if that is unknown. Reads the disk."""
    try:
        if not config.exists():
            return False
        return any(one.name == schedule for one in load_config(config, required=True).schedules)
    except (ConfigError, OSError):
        return True
