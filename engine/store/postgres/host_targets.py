"""Files belong to hosts: in the shared store a SQLite database is named with its host.

The host db1 stores `sqlite:///srv/a.db` as `sqlite://db1/srv/a.db`, and reads it without its name again. The same path
on two hosts means two databases.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from engine.domain.requests import EngineName

ANY_HOST: Final = "any"
"""The queue of jobs that every worker may run."""
_HERE: Final = "sqlite:///"


class HostTargets:
    """How this host names targets in the store."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.queue = f"host:{host}"
        """The queue of jobs that only this host can run."""
        self._there = f"sqlite://{quote(host, safe='')}/"

    def stored(self, target: str) -> str:
        """The name of a target in the store."""
        return self._there + target.removeprefix(_HERE) if target.startswith(_HERE) else target

    def here(self, stored: str) -> str:
        """The name on this host of a target in the store; that of a file of another host names that."""
        return _HERE + stored.removeprefix(self._there) if stored.startswith(self._there) else stored

    def key(self, engine: EngineName, target_key: str) -> str:
        """What mutual exclusion goes by."""
        return f"{self.host}:{target_key}" if engine is EngineName.SQLITE else target_key

    def queue_of(self, engine: EngineName) -> str:
        return self.queue if engine is EngineName.SQLITE else ANY_HOST
