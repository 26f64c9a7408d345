"""A database file as a target: what is the same for all engines whose databases are files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from engine.domain.server_names import file_url
from engine.system.paths import real_path
from engine.targets.target import Target


class FileTarget(Target):
    """The database file at `path`, which does not have to exist."""

    scheme: ClassVar[str]

    def __init__(self, path: str) -> None:
        """Touches no disk. Raises FileNotFoundError where the path is relative to a directory that is gone."""
        self.given: Final = path if path.startswith("/") else str(Path.cwd() / path)
        self._path: str | None = None

    @property
    def path(self) -> str:
        """Symbolic links are followed once, here."""
        # No cached_property: in Python 3.11 all targets share its lock, and one disk that hangs would hold it.
        if self._path is None:
            # POSIX lets two leading slashes mean something else; nothing we run on does.
            self._path = "/" + real_path(self.given).lstrip("/")
        return self._path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    @property
    def url(self) -> str:
        return file_url(self.scheme, self.path)
