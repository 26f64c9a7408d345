"""Files belong to hosts: in the shared store a database file is named with its host.

The host db1 stores `sqlite:///srv/a.db` as `sqlite://db1/srv/a.db`, and reads it without its name again. The same path
on two hosts means two databases.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, unquote

from engine.domain.engines import EngineName
from engine.domain.requests import Options
from engine.domain.server_names import is_file_url
from engine.domain.value_types import ANY_HOST


def _file(url: str) -> tuple[str, str]:
    """The scheme of the URL of a file, and what follows: `/srv/a.db`, or `db1/srv/a.db`; "" twice for all else."""
    scheme, _, place = url.partition("://")
    return (scheme, place) if is_file_url(url) else ("", "")


def _is_of_a_file(key: str) -> bool:
    """Whether the key of a database is that of a file, which begins with its engine."""
    return EngineName(key.partition(":")[0]).is_file


class HostTargets:
    """How this host names targets in the store."""

    def __init__(self, host: str, queues: Sequence[str] = (ANY_HOST,)) -> None:
        """`queues`: those that workers of this process serve beside that of their host."""
        self.host = host
        self.queue = f"host:{host}"
        """The queue of jobs that only this host can run."""
        self.served = list(dict.fromkeys([*queues, self.queue]))
        """The queues that workers of this process serve."""
        self._place = f"{quote(host, safe='')}/"

    @staticmethod
    def files_of(host: str) -> str:
        """What the URLs of its SQLite files begin with."""
        return f"sqlite://{quote(host, safe='')}/"

    def stored(self, target: str) -> str:
        """The name of a target in the store."""
        scheme, path = _file(target)
        return f"{scheme}://{self._place}{path[1:]}" if path.startswith("/") else target

    def here(self, stored: str) -> str:
        """The name on this host of a target in the store; that of a file of another host names that."""
        scheme, place = _file(stored)
        return f"{scheme}:///{place.removeprefix(self._place)}" if place.startswith(self._place) else stored

    def key(self, engine: EngineName, target_key: str) -> str:
        """The key of mutual exclusion."""
        return f"{self.host}:{target_key}" if engine.is_file else target_key

    def database(self, key: str) -> str:
        """The key of a database, as all hosts know it."""
        return f"{self.host}:{key}" if _is_of_a_file(key) else key

    def database_here(self, key: str) -> str:
        """The key of a database on this host. For a file of this host: without the host."""
        here = key.removeprefix(f"{self.host}:")
        return here if here != key and _is_of_a_file(here) else key

    def host_of(self, target: str) -> str | None:
        """The other host whose file it is; None for all else."""
        name, slash, _ = _file(target)[1].partition("/")
        return unquote(name) if name and slash else None

    def queue_of(self, engine: EngineName, options: Options) -> str:
        """The queue of jobs on such a target."""
        return self.queue if engine.is_file else options.server.queue or ANY_HOST
