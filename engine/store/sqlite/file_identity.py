"""Whether what lies at the store's path is still the file that was opened.

SQLite does not notice when its file is removed or replaced: it goes on with the one that has no name any more.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from engine.domain.errors import StoreLostError

_WHAT_TO_DO: Final = "nothing more is read or written there; put it back, and open it again"


class Identity:
    """What lies at `path` now, to be compared with what lies there later; that may be nothing."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._file = self._now()

    @property
    def is_there(self) -> bool:
        """Whether there was a file to begin with."""
        return self._file is not None

    def check(self) -> None:
        """Raise StoreLostError if the file was replaced or removed."""
        try:
            now = self._now()
        except OSError as error:
            raise StoreLostError(self._path, f"cannot be reached any more: {error.strerror}", _WHAT_TO_DO) from None
        if now == self._file:
            return
        if self._file is None:
            raise StoreLostError(self._path, "was created after it was opened", "open it again")
        if now is None:
            raise StoreLostError(self._path, "was removed while it was in use", _WHAT_TO_DO)
        raise StoreLostError(self._path, "was replaced by another file while it was in use", "open it again")

    def _now(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - asked many times a second
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_dev, status.st_ino
