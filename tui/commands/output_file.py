"""Writes the result of a command into a file, at once: nobody reads a part of it."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from engine.domain.errors import SystemLimitError


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Raises SystemLimitError; then an older file is as it was. What is no file, such as a pipe, is written to."""
    try:
        path = Path(os.path.realpath(path))
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(content)
            return
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        missing = f"there is no directory {path.parent}"
        why = missing if not path.parent.is_dir() else f"cannot be written: {error.strerror}"
        raise SystemLimitError(str(path), why, "nothing was changed there") from None
