"""Where a store of jobs is: a file on this host, or a database on a server that many hosts share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from platformdirs import user_state_path

from engine.domain.engines import EngineName
from engine.domain.errors import NotAvailableError, UsageError
from engine.domain.frozen import frozen
from engine.domain.lazy_import import lazy
from engine.domain.server_names import URL, server_engine
from engine.domain.value_types import FilePath
from engine.system.host import host_name

if TYPE_CHECKING:
    import hashlib

    from engine.system import dsn
else:
    hashlib = lazy("hashlib", "only a shared store needs it")
    dsn = lazy("engine.system.dsn", "only a shared store needs its driver, which is optional")

FORMS: Final = "give the path of a file, or postgresql://USER@HOST/DATABASE"
_WHERE: Final = ("service", "host", "hostaddr", "port", "dbname")


@frozen
class StoreLocation:
    """Where a store of jobs is. Its text holds no password."""

    path: Path
    """The file of an embedded store. Beside it lie the locks and logs of the processes on this host; a shared store has
    a path for these alone, in the user's state directory, which hosts may share, too."""
    url: str | None = None
    """The URL of a shared store."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The store that a user named. Raises UsageError; NotAvailableError without the driver of a shared one."""
        if server_engine(text) == EngineName.POSTGRESQL:
            return cls.shared(text)
        if URL.fullmatch(text) or text[:5].lower() == "file:":
            raise UsageError(repr(text), "is no store of jobs", FORMS)
        return cls(Path(FilePath().parse(text)))

    @classmethod
    def shared(cls, text: str) -> Self:
        """The shared store that libpq finds by `text`."""
        try:
            address = dsn.address(text, "store")
        except ImportError as error:
            raise driver_missing(error) from None
        directory = user_state_path("dbtend") / "stores" / _digest(address.parameters)
        return cls(directory / host_name() / "jobs", address.url)

    @classmethod
    def of(cls, place: Path | StoreLocation) -> StoreLocation:
        """`place`, or the embedded store in that file."""
        return place if isinstance(place, StoreLocation) else cls(place)

    def __str__(self) -> str:
        return self.url or str(self.path)

    @property
    def is_shared(self) -> bool:
        return self.url is not None

    def exists(self) -> bool:
        """Whether there may be a store: only its server knows that of a shared one; to open it says more."""
        try:
            return self.is_shared or self.path.exists()
        except OSError:
            return True


def driver_missing(error: ImportError) -> NotAvailableError:
    """`error`: of the import of a driver; one of our own modules is raised unchanged."""
    if (error.name or "").startswith("engine"):
        raise error
    hint = "pip install '.[postgres]' in the directory of its source"
    missing = error.name or "libpq, for psycopg"
    return NotAvailableError("store", f"what a shared one needs is not installed: {missing}", hint)


def _digest(parameters: Mapping[str, str]) -> str:
    """Equal for all users and settings with which this database can be reached."""
    where = "\0".join(parameters.get(name, "") for name in _WHERE)
    return hashlib.sha256(where.encode()).hexdigest()[:16]
