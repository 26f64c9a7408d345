"""A database file of another host that shares the store, as a target: it is looked at and worked on there alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

from engine.domain.errors import TargetUnavailableError
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.domain.server_names import file_url, without_scheme
from engine.targets.target import Target


class FileElsewhere(Target):
    """The database file at the absolute `path` of `host`."""

    def __init__(self, host: str, path: str, kind: type[Target]) -> None:
        """`kind`: the target that it is on its host."""
        self.elsewhere = host
        self.engine = kind.engine
        self.operations = kind.operations
        self.default_operations = kind.default_operations
        self.path: Final = path
        self._url: Final = f"{kind.engine}://{host}{without_scheme(file_url(kind.engine, path))}"

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
        hint = f"run dbtend on {self.elsewhere}; a file here has three slashes: {self.engine}:///PATH"
        raise TargetUnavailableError(self.url, f"is a file of the host {self.elsewhere}, and opens there alone", hint)
