"""Opening a new file to those who may read another one: through its descriptor, so that it is that very file."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Final

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
