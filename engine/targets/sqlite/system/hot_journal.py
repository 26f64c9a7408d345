"""What a crash left half done, told without opening the database: the next connection rolls it back in silence.

A journal may name a file that SQLite removes after the rollback: the super-journal of a transaction on several
databases. SQLite trusts any name. So a user who can put a journal beside a database can have a file removed by the
next user who opens it.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from engine.domain.errors import TargetRefusedError
from engine.domain.lazy_import import lazy
from engine.targets.sqlite.system import directories

if TYPE_CHECKING:
    from engine.system import lock_holders
else:
    lock_holders = lazy("engine.system.lock_holders", "only a database with a journal needs it")

_MAGIC: Final = bytes.fromhex("d9d505f920a163d7")
_LONGEST: Final = 4096
_SUPER_JOURNAL: Final = re.compile(r".+-mj[0-9A-F]{8,9}")


def is_unattended(path: str) -> bool:
    """Whether an unused rollback journal lies beside the database at `path`; False if that is unknown.

    One that is the same before and after a moment without any lock belongs to no transaction that still runs.
    """
    journal = path + "-journal"
    found = _state(journal)
    return found is not None and lock_holders.is_locked(path) is False and _state(journal) == found


def is_gone(path: str) -> bool:
    """Whether there is nothing left of a journal."""
    return _state(path + "-journal") is None


def _state(journal: str) -> tuple[int, int, int] | None:
    """Changes when the journal is written or recreated; None for an empty one."""
    try:
        status = os.stat(journal)  # noqa: PTH116 - asked many times for each job
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size) if status.st_size else None


def require_harmless(path: str) -> None:
    """Raises TargetRefusedError where SQLite would remove a file that is none of its own, once it has rolled back."""
    named = _named_in(path + "-journal")
    if named is not None and not _SUPER_JOURNAL.fullmatch(os.path.basename(named)):  # noqa: PTH119 - it is only looked at
        why = f"SQLite did not write the journal beside it, and would remove {named} because of it"
        raise TargetRefusedError(path, why, f"find out who made {path}-journal, and remove it")


def others_may_plant_one(path: str) -> bool:
    """Whether another user could put a journal beside the database at any moment, which SQLite would obey as root."""
    return not os.geteuid() and not directories.is_ours(os.path.dirname(path))  # noqa: PTH120 - asked for each job


def _named_in(journal: str) -> str | None:
    """The super-journal at the end of a journal: its name, the length of that, a checksum and eight bytes."""
    with suppress(OSError):
        descriptor = os.open(journal, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            end = os.pread(descriptor, 16, max(status.st_size - 16, 0)) if stat.S_ISREG(status.st_mode) else b""
            length = int.from_bytes(end[:4], "big")
            if end[8:] == _MAGIC and 0 < length <= status.st_size - 16:
                name = os.pread(descriptor, min(length, _LONGEST), status.st_size - 16 - length)
                return os.fsdecode(name.partition(b"\0")[0])
        finally:
            os.close(descriptor)
    return None
