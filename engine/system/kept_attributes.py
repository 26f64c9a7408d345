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


_ACCESS_LIST: Final = "system.posix_acl_access"


def open_as(source: int | str, copy: int) -> None:
    """Give the file `copy` the owner, mode, access list and attributes of `source`, as far as we may.

    Where its group or its access list cannot be had, a group may no more than everybody may. Raises OSError.
    """
    status = os.stat(source)  # noqa: PTH116 - it may be a descriptor
    mode = stat.S_IMODE(status.st_mode) & 0o777
    if not _belongs_to(copy, status):
        mode = _without_group(mode)
    # The default ACL of its directory would take effect with the mode.
    access = _attribute(source, _ACCESS_LIST)
    if not _set(copy, _ACCESS_LIST, access) and access is not None:
        mode = _without_group(mode)
    os.fchmod(copy, mode)
    for name in _names(source):
        if name.startswith("user."):
            _set(copy, name, _attribute(source, name))


def _belongs_to(copy: int, status: os.stat_result) -> bool:
    """Whether it could be given to the group of the source; only root gives it to an owner, too."""
    for owner in (status.st_uid, -1):
        with suppress(OSError):
            os.fchown(copy, owner, status.st_gid)
            return True
    return os.fstat(copy).st_gid == status.st_gid


def _without_group(mode: int) -> int:
    return mode & 0o707 | (mode & 0o007) << 3


def _names(file: int | str) -> list[str]:
    with suppress(OSError, AttributeError):
        return os.listxattr(file)
    return []


def _attribute(file: int | str, name: str) -> bytes | None:
    with suppress(OSError, AttributeError):
        return os.getxattr(file, name)
    return None


def _set(file: int, name: str, value: bytes | None) -> bool:
    """Whether the attribute has that value now; None: it is not there."""
    with suppress(OSError, AttributeError):
        if value is None:
            os.removexattr(file, name)
        else:
            os.setxattr(file, name, value)
    return _attribute(file, name) == value
