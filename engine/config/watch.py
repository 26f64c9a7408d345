"""Notices that the config file has changed. One that is broken leaves the last good one in force."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from engine.config.model import Config
from engine.config.reader import load_config
from engine.domain.errors import ConfigError

SETTLED: Final = 0.1
"""Seconds without a change after which a file that is written in place is taken to be whole."""

_Stamp = tuple[int, int, int, int, int]
"""Device, inode, times of change of the content and of the entry in nanoseconds, size."""


class ConfigWatch:
    """Reads the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = Config()
        """The last version that was read without an error."""
        self.problem: ConfigError | None = None
        """Why it could not be read since."""
        self._stamp: _Stamp | None = None
        self._was_there = self._has_begun = False

    def look(self) -> bool:
        """Read the file if it has changed; whether that was so. One that was removed is an error.

        A file that is written in place is read once that is over: a part of it would be a file with fewer schedules.
        """
        stamp = self._stamp_now()
        if self._has_begun and (stamp == self._stamp or _is_being_written(self._stamp, stamp)):
            return False
        self._stamp, self._has_begun = stamp, True
        self._was_there = self._was_there or stamp is not None
        try:
            self.config, self.problem = load_config(self.path, required=self._was_there), None
        except ConfigError as error:
            self.problem = error
        return True

    def _stamp_now(self) -> _Stamp | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _is_being_written(known: _Stamp | None, now: _Stamp | None) -> bool:
    if known is None or now is None or now[:2] != known[:2]:
        return False  # a file that has replaced another one is whole
    return 0 <= time.time() - now[2] / 1e9 < SETTLED
