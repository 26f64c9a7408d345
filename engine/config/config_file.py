"""Reads and changes the config file: atomically, and never over the change of another program."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.config.model import Config
from engine.config.reader import exposed, load_config, read_config
from engine.domain.errors import ConfigError
from engine.domain.lazy_import import lazy
from engine.system.locks import lock_within
from engine.system.private_files import exposure, make_directories

if TYPE_CHECKING:
    from engine.config import parser
else:
    parser = lazy("engine.config.parser", "only a change of the config file needs it")

ATTEMPTS: Final = 5
"""Attempts to apply a change while other programs keep writing the file."""

LOCKED_WITHIN: Final = 10.0
"""Seconds that another change is waited for."""


class ConfigFile:
    """The config file at `path`, which may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def load(self) -> Config:
        """The content of the config file; all defaults if it does not exist. Raises ConfigError."""
        return load_config(self.path, required=False)

    def change(self, edit: Callable[[str], str]) -> Config:
        """Replace its text by `edit` of the current text; returns the new content.

        `edit` may be called more than once. Raises ConfigError, and what `edit` raises; then the file is unchanged.
        """
        real = Path(os.path.realpath(self.path))
        try:
            make_directories(real.parent)
            if problem := exposure(self.path):
                raise exposed(problem)
            with _locked(real.parent):
                for _ in range(ATTEMPTS):
                    before = _read(real)
                    text = edit(self._decoded(before))
                    config = parser.parse_config(text, str(self.path))
                    if text.encode() == (before or b"") or _replace(real, before, text.encode()):
                        return config
        except RecursionError:
            raise ConfigError(str(self.path), "nests too deeply", "nothing was changed") from None
        except UnicodeEncodeError:
            raise ConfigError(str(self.path), "can hold valid text only", "write other bytes as %XX in a URL") from None
        except TimeoutError:
            why = f"cannot be changed: another program has locked its directory for {LOCKED_WITHIN:g} s"
            raise ConfigError(str(self.path), why, "nothing was changed; lslocks names the program") from None
        except OSError as error:
            why = f"cannot be written: {error.strerror or error}"
            raise ConfigError(str(self.path), why, "nothing was changed") from None
        raise ConfigError(str(self.path), "is changed by another program all the time", "try again")

    def _decoded(self, content: bytes | None) -> str:
        try:
            return (content or b"").decode()
        except UnicodeDecodeError:
            raise ConfigError(str(self.path), "is not UTF-8 text", "a config file is TOML in UTF-8") from None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock on changes of files there by dbtend. Editors ignore it: `_replace` detects their changes."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock_within(LOCKED_WITHIN, lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(path: Path) -> bytes | None:
    try:
        return read_config(path)
    except FileNotFoundError:
        return None


def _replace(path: Path, before: bytes | None, content: bytes) -> bool:
    """Replace the file atomically; False if its content is no longer `before`."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if before is not None:
                _copy_permissions(path.stat(), file.fileno())
            file.flush()
            os.fsync(file.fileno())
        if _read(path) != before:
            temporary.unlink()
            return False
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)
    return True


def _copy_permissions(status: os.stat_result, file: int) -> None:
    """Copy the mode, and the owner if permitted."""
    with suppress(PermissionError):
        os.fchown(file, status.st_uid, status.st_gid)
    os.fchmod(file, stat.S_IMODE(status.st_mode))


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
