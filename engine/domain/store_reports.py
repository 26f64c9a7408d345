"""What the administration of a shared store found and did."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from engine.domain.frozen import frozen
from engine.domain.steps import Micros


@frozen
class StoreMade:
    """What `init` did."""

    version: int
    earlier_version: int | None
    """None: there was no store."""
    owner: str = ""
    owner_is_superuser: bool = False
    missing_roles: tuple[str, ...] = ()
    roles_sql: str = ""
    """What an administrator runs to make them."""


class Invariant(StrEnum):
    """What holds in a store, whatever happens."""

    RUNNING_HAS_WORKER = "running_has_worker"
    DUE_IS_FIRST_OPEN = "due_is_first_open"
    PARENT_STATUS = "parent_status"
    EVENTS_WITHOUT_GAP = "events_without_gap"
    RESERVED_FOR_RUN = "reserved_for_run"


class Foreign(StrEnum):
    """Kinds of what others can add to a store."""

    TRIGGER = "trigger"
    RULE = "rule"
    POLICY = "policy"
    DEFAULT_RIGHTS = "default_rights"
    OWNER = "owner"
    ROLE = "role"
    RIGHT = "right"


@frozen
class ForeignObject:
    """Something in a store that `init` has not made, or a right that it has not given."""

    kind: Foreign
    text: str
    """Which, with its table, schema or role."""


@frozen(kw_only=True)
class StoreCheck:
    """The state of a shared store and its server, as its user sees it."""

    server_version: str
    database: str
    size: int
    user: str
    owner: str
    owner_is_superuser: bool
    roles: tuple[str, ...]
    """The roles of the store whose rights this user has."""
    missing_roles: tuple[str, ...]
    roles_sql: str
    version: int
    keepalives: bool | None
    """Whether the server notices a host that is gone; None: it is on this host."""
    standbys: int
    """Connected to the server."""
    synchronous_standbys: str
    """Those that a commit waits for, by the setting of the server; "" for none."""
    round_trip: float
    """Seconds."""
    clock_offset: float
    """Seconds that the clock of this host is ahead of the server's."""
    jobs: int
    open_jobs: int
    events: int
    workers: int
    dead_workers: int
    """Processes that died, and whose jobs are not rescued yet."""
    unfinished_copy: str
    """The store whose history was copied in part; "" for none."""
    host: str
    """The name of this host."""
    has_namesake: bool
    """Whether another machine works under that name."""
    broken: Mapping[Invariant, int]
    """How many rows violate each; none is left out."""
    foreign: tuple[ForeignObject, ...] = ()


@frozen(kw_only=True)
class StoreCopied:
    """How many rows of each table were copied; all are counted and compared on both sides."""

    rows: Mapping[str, int]
    copied_at: Micros
    was_complete: bool = False
    """Whether all of it had been copied before, so that nothing was done."""

    @property
    def jobs(self) -> int:
        return self.rows["parent_job"]
