"""Everything that a file is besides its content: owner, mode, access list, attributes, flags."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from typing import Final

_GET_FLAGS: Final = 0x80086601
_SET_FLAGS: Final = 0x40086602
_FLAGS: Final = 0x028044FF
"""The flags that people set with chattr, and that change what may be done with a file, or how it is stored."""


def keep_attributes(source: int, copy: int) -> str:
    """Give the file `copy` all attributes of `source`. Returns what it could not get, as text; "" if nothing.

    Raises OSError.
    """
    status = os.fstat(source)
    with suppress(PermissionError):
        os.fchown(copy, status.st_uid, status.st_gid)
    os.fchmod(copy, stat.S_IMODE(status.st_mode))
    wanted, given = _attributes(source), _attributes(copy)
    for name in given.keys() - wanted.keys():
        with suppress(OSError):
            os.removexattr(copy, name)
    for name, value in wanted.items():
        if given.get(name) != value:
            with suppress(OSError):
                os.setxattr(copy, name, value)
    if (flags := _flags(source)) is not None and _flags(copy) != flags:
        with suppress(OSError):
            fcntl.ioctl(copy, _SET_FLAGS, flags.to_bytes(8, "little"))
    return _difference(source, copy)


def _difference(source: int, copy: int) -> str:
    wanted, given = os.fstat(source), os.fstat(copy)
    if (wanted.st_uid, wanted.st_gid) != (given.st_uid, given.st_gid):
        return "its owner or its group"
    if wanted.st_mode != given.st_mode:
        return "its mode"
    attributes, kept = _attributes(source), _attributes(copy)
    for name in sorted(attributes.keys() | kept.keys()):
        if attributes.get(name) != kept.get(name):
            return f"its attribute {name}"
    return "" if _flags(source) == _flags(copy) else "its flags (chattr)"


def _attributes(file: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(file, name) for name in os.listxattr(file)}
    except OSError:  # the file system knows none
        return {}


def _flags(file: int) -> int | None:
    """The flags of a file; None where the file system has none."""
    try:
        return int.from_bytes(fcntl.ioctl(file, _GET_FLAGS, bytes(8))[:4], "little") & _FLAGS
    except OSError:
        return None
