"""When a file was made: a new file may have the inode of a deleted one, but not its time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from engine.domain.lazy_import import lazy
from engine.system.mounts import is_local_and_unlayered

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = lazy("ctypes", "only a file whose damage may be on record needs it")

_RELATIVE_TO_HERE: Final = -100
_BIRTH_TIME: Final = 0x800
_SIZE: Final = 256
_SECONDS: Final = slice(80, 88)
_NANOSECONDS: Final = slice(88, 92)


def birth_time(path: str) -> int | None:
    """In nanoseconds, the same as long as the file exists; None where the system does not tell it for certain.

    Python has no such call before 3.15. A layered file system copies a file at its first write.
    """
    ask = getattr(ctypes.CDLL(None), "statx", None)
    if ask is None or not is_local_and_unlayered(path):
        return None
    answer = ctypes.create_string_buffer(_SIZE)
    if ask(_RELATIVE_TO_HERE, os.fsencode(path), 0, _BIRTH_TIME, answer) != 0:
        return None
    mask, seconds, nanoseconds = (
        int.from_bytes(answer.raw[part], "little") for part in (slice(4), _SECONDS, _NANOSECONDS)
    )
    return seconds * 10**9 + nanoseconds or None if mask & _BIRTH_TIME else None
