"""Notices that the config file has changed. One that is broken leaves the last good one in force."""

from __future__ import annotations

from pathlib import Path

from engine.config.model import Config
from engine.config.reader import load_config
from engine.domain.errors import ConfigError


class ConfigWatch:
    """Reads the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = Config()
        """The last version that was read without an error."""
        self.problem: ConfigError | None = None
        """Why it could not be read since."""
        self._stamp: tuple[int, ...] | None = None
        self._was_there = self._has_begun = False

    def look(self) -> bool:
        """Read the file if it has changed; whether that was so. One that was removed is an error."""
        stamp = self._stamp_now()
        if self._has_begun and stamp == self._stamp:
            return False
        self._stamp, self._has_begun = stamp, True
        self._was_there = self._was_there or stamp is not None
        try:
            self.config, self.problem = load_config(self.path, required=self._was_there), None
        except ConfigError as error:
            self.problem = error
        return True

    def _stamp_now(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev, found.st_size
