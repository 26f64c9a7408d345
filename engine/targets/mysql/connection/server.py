"""Who answers on a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen


class Flavor(StrEnum):
    MARIADB = "mariadb"
    MYSQL = "mysql"


class Cluster(StrEnum):
    """What replicates the server's changes to others before they are committed."""

    GALERA = "galera"
    GROUP_REPLICATION = "group_replication"


RECOVERY: Final = {"MyISAM": "myisam_recover_options", "Aria": "aria_recover_options"}
"""By storage engine: the variable that says how the server repairs its crashed tables when it opens them."""


@frozen(kw_only=True)
class Server:
    """A server, and the session there."""

    flavor: Flavor
    version: tuple[int, ...]
    """(11, 8, 9)."""
    connection_id: int
    user: str
    """The answer of CURRENT_USER(): 'ann@%'."""
    database: str
    """Empty if the session has none."""
    host_key: str
    """Names the server, whatever address leads to it."""
    reads_only: bool
    """Whether the server refuses changes of this user."""
    is_read_only: bool
    """Whether read_only is on; a user with all rights can still write."""
    is_replica: bool
    cluster: Cluster | None
    started: int
    """Seconds since 1970; another value means that the server restarted."""
    recovers: Mapping[str, str] = field(default_factory=dict)
    """The storage engines whose crashed tables the server repairs when it opens them, each with how it does that."""
    is_innodb_read_only: bool = False
    """Whether InnoDB accepts no writes, from any user, until the server is restarted with other settings."""
    requires_primary_key: bool = False
    """Whether it refuses to rebuild a table without a primary key."""
    has_group: bool = False
    """Whether it is set up as a member of a replication group; one that left the group stays read-only."""
    ignores_case: bool = False
    """Whether names that differ only in case are the same (lower_case_table_names); its files are in lower case."""

    @property
    def is_galera(self) -> bool:
        return self.cluster is Cluster.GALERA

    @property
    def product(self) -> str:
        """`MariaDB 11.8.9`."""
        name = "MariaDB" if self.flavor is Flavor.MARIADB else "MySQL"
        return f"{name} {'.'.join(map(str, self.version))}"

    @property
    def key(self) -> str:
        return f"{self.host_key}:{self.database}"

    def file_name(self, name: str) -> str:
        """The name of a table or database as its files have it, apart from their encoding."""
        return name.lower() if self.ignores_case else name
