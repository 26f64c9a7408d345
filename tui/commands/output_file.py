"""Writes the result of a command into a file atomically: no reader sees a part of it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from engine.domain.errors import SystemLimitError
from tui.commands.settings import Settings

_NO_DIRECTORY: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


def replace_file(path: Path, content: bytes, mode: int, settings: Settings) -> None:
    """Raises SystemLimitError, and then leaves an older file unchanged. A pipe or a device is written to.

    `mode`: of a new file; the rights of an older one are kept.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(content)  # by its own name: where /dev/stdout is a pipe, it leads to no other
            return
        path = Path(os.path.realpath(path))
        if path.exists():
            _refuse_own(path, settings)
        handle, name = tempfile.mkstemp(prefix=".dbtend-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                _set_rights(file.fileno(), path, mode)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        is_gone = error.errno in _NO_DIRECTORY
        why = f"there is no directory {path.parent}" if is_gone else f"cannot be written: {error.strerror}"
        raise SystemLimitError(str(path), why, "nothing was changed there") from None


def _set_rights(handle: int, older: Path, mode: int) -> None:
    if older.exists():
        status = older.stat()
        mode = stat.S_IMODE(status.st_mode) & 0o777
        try:
            os.fchown(handle, status.st_uid if os.geteuid() == 0 else -1, status.st_gid)
        except PermissionError:  # of a group that we do not belong to: those of another group get no rights
            mode &= ~stat.S_IRWXG
    os.fchmod(handle, mode)


def _refuse_own(path: Path, settings: Settings) -> None:
    """A mistyped name must not cost the history."""
    if any(own.exists() and own.samefile(path) for own in (settings.store.path, settings.config_path)):
        raise SystemLimitError(str(path), "is a file of dbtend itself", "name another file")
