"""The config file as a thing that is read and changed: whole or not at all, and never over what somebody else wrote."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from engine.config.model import Config
from engine.config.reader import load_config, read_config
from engine.domain.errors import ConfigError
from engine.system.private_files import make_directories

ATTEMPTS: Final = 5
"""How often a change is made to the newest text, where the file is written again and again meanwhile."""


class ConfigFile:
    """The config file at `path`, which does not have to exist yet."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def load(self) -> Config:
        """What it says; everything at its default where it does not exist. Raises ConfigError."""
        return load_config(self.path, required=False)

    def change(self, edit: Callable[[str], str]) -> Config:
        """Give it the text that `edit` makes of the newest one; what it says then.

        `edit` may be called more than once. Raises ConfigError, also what `edit` raises: then the file is as it was.
        """
        from engine.config.parser import parse_config  # few sessions change anything

        real = Path(os.path.realpath(self.path))
        try:
            make_directories(real.parent)
            with _alone_in(real.parent):
                for _ in range(ATTEMPTS):
                    before = _read(real)
                    text = edit(self._decoded(before))
                    config = parse_config(text, str(self.path))
                    if text.encode() == (before or b"") or _replace(real, before, text.encode()):
                        return config
        except RecursionError:
            raise ConfigError(str(self.path), "nests too deeply", "nothing was changed") from None
        except UnicodeEncodeError:
            raise ConfigError(str(self.path), "cannot hold what is no text", "write it as %XX in a URL") from None
        except OSError as error:
            why = f"cannot be written: {error.strerror or error}"
            raise ConfigError(str(self.path), why, "nothing was changed") from None
        raise ConfigError(str(self.path), "is being changed by somebody else all the time", "try again")

    def _decoded(self, content: bytes | None) -> str:
        try:
            return (content or b"").decode()
        except UnicodeDecodeError:
            raise ConfigError(str(self.path), "is not UTF-8 text", "a config file is TOML in UTF-8") from None


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """While no other process of ours changes a file there. An editor does not ask, so that is looked for besides."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(path: Path) -> bytes | None:
    try:
        return read_config(path)
    except FileNotFoundError:
        return None


def _replace(path: Path, before: bytes | None, content: bytes) -> bool:
    """Put a whole new file in place of the one that held `before`; False where it holds something else by now."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if before is not None:
                _look_like(path.stat(), file.fileno())
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


def _look_like(status: os.stat_result, file: int) -> None:
    """The same mode, and the same owner as far as that is ours to say."""
    with suppress(PermissionError):
        os.fchown(file, status.st_uid, status.st_gid)
    os.fchmod(file, stat.S_IMODE(status.st_mode))


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
