"""A DuckDB file as the file system shows it.

DuckDB holds its locks by the process: they end with any descriptor of the file that the process closes. So nothing
here opens it.
"""

from __future__ import annotations

from pathlib import Path

from engine.domain.errors import TargetRefusedError
from engine.system.private_files import is_private_directory
from engine.targets import database_files
from engine.targets.database_files import file_size, status_of
from engine.targets.duckdb import SPEC


def log_size(path: str) -> int:
    """Bytes of the write-ahead logs; 0 without one."""
    return sum(file_size(path + end) for end in SPEC.beside)


def key_of(path: str) -> str:
    """Identifies the file, whatever its name. Raises TargetUnavailableError."""
    status = status_of(path)
    return f"duckdb:{status.st_dev:x}:{status.st_ino:x}"


def check(path: str, *, writing: bool = False) -> None:
    """Raises TargetUnavailableError if it cannot be read, TargetRefusedError if it cannot be written."""
    database_files.check_readable(path, SPEC.kind, SPEC.beside)
    if problem := problem_with(path):
        raise TargetRefusedError(path, f"its path {problem}", "rename it, or the directory above it that is called so")
    if writing:
        database_files.check_writable(path, "DuckDB", "log")


def problem_with(path: str) -> str:
    """Why DuckDB cannot work on a file with this path, as text; "" if it can."""
    if "?" in path:
        return "has a ?, and DuckDB takes what follows for options: its log would have another name"
    return "" if path.isascii() or not any("\ud800" <= char <= "\udfff" for char in path) else "is not UTF-8"


def why_read_only(path: str) -> str:
    """Why the file cannot be written; "" if it can. Raises TargetUnavailableError."""
    try:
        check(path, writing=True)
    except TargetRefusedError as error:
        return error.why
    return ""


def others_can_change(directory: str) -> str:
    """The directory on the way to this one, or itself, in which others can put another file; "" for none."""
    places = [Path(directory), *Path(directory).parents]
    return next((str(place) for place in reversed(places) if not is_private_directory(place.stat())), "")
