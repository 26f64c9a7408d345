"""Files belong to hosts: in the shared store a SQLite database is named with its host.

The host db1 stores `sqlite:///srv/a.db` as `sqlite://db1/srv/a.db`, and reads it without its name again. The same path
on two hosts means two databases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote

from engine.domain.engines import EngineName
from engine.domain.requests import Options
from engine.domain.value_types import ANY_HOST

_FILE: Final = "sqlite://"
_HERE: Final = "sqlite:///"
_FILE_KEY: Final = "sqlite:"


class HostTargets:
    """How this host names targets in the store."""

    def __init__(self, host: str, queues: Sequence[str] = (ANY_HOST,)) -> None:
        """`queues`: those that workers of this process serve beside that of their host."""
        self.host = host
        self.queue = f"host:{host}"
        """The queue of jobs that only this host can run."""
        self.served = list(dict.fromkeys([*queues, self.queue]))
        """The queues that workers of this process serve."""
        self._there = self.files_of(host)

    @staticmethod
    def files_of(host: str) -> str:
        """What the URLs of its files begin with."""
        return f"{_FILE}{quote(host, safe='')}/"

    def stored(self, target: str) -> str:
        """The name of a target in the store."""
        return self._there + target.removeprefix(_HERE) if target.startswith(_HERE) else target

    def here(self, stored: str) -> str:
        """The name on this host of a target in the store; that of a file of another host names that."""
        return _HERE + stored.removeprefix(self._there) if stored.startswith(self._there) else stored

    def key(self, engine: EngineName, target_key: str) -> str:
        """The key of mutual exclusion."""
        return f"{self.host}:{target_key}" if engine.is_file else target_key

    def database(self, key: str) -> str:
        """The key of a database, as all hosts know it."""
        return f"{self.host}:{key}" if key.startswith(_FILE_KEY) else key

    def database_here(self, key: str) -> str:
        """The key of a database on this host. For a file of this host: without the host."""
        return key.removeprefix(f"{self.host}:") if key.startswith(f"{self.host}:{_FILE_KEY}") else key

    def host_of(self, target: str) -> str | None:
        """The other host whose file it is; None for all else."""
        name, slash, _ = target.removeprefix(_FILE).partition("/")
        return unquote(name) if target.startswith(_FILE) and name and slash else None

    def queue_of(self, engine: EngineName, options: Options) -> str:
        """The queue of jobs on such a target."""
        return self.queue if engine.is_file else options.server.queue or ANY_HOST
