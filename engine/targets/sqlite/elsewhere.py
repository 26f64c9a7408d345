"""A SQLite file of another host that shares the store, as a target: it is looked at and worked on there alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

from engine.domain.engines import EngineName
from engine.domain.errors import TargetUnavailableError
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.targets.sqlite.connection.names import target_url
from engine.targets.sqlite.planning import operation_specs
from engine.targets.target import Target


class FileElsewhere(Target):
    """The database file at the absolute `path` of `host`."""

    engine = EngineName.SQLITE
    operations = operation_specs.SPECS
    default_operations = operation_specs.DEFAULT_OPERATIONS

    def __init__(self, host: str, path: str) -> None:
        self.elsewhere = host
        self.path: Final = path
        self._url: Final = f"sqlite://{host}{target_url(path).removeprefix('sqlite://')}"

    def __repr__(self) -> str:
        return f"FileElsewhere({self.url!r})"

    @property
    def url(self) -> str:
        return self._url

    @property
    def key(self) -> str:
        return self.fingerprint()

    def fingerprint(self) -> str:
        self._refuse()

    async def identify(self) -> str:
        self._refuse()

    def connect(self, **_: object) -> NoReturn:
        self._refuse()

    def look(self, **_: object) -> NoReturn:
        self._refuse()

    async def preflight(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        operations: Sequence[Operation] = (),
        options: Options = DEFAULT_OPTIONS,
    ) -> str:
        self._refuse()

    def _refuse(self) -> NoReturn:
        hint = f"run dbtend on {self.elsewhere}; a file here has three slashes: sqlite:///PATH"
        raise TargetUnavailableError(self.url, f"is a file of the host {self.elsewhere}, and opens there alone", hint)
