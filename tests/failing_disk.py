"""A disk that fails after some time: every later fsync of this process ends with EIO."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from typing import Final

_CALLS: Final = {"x86_64": (317, 74, 75), "aarch64": (277, 82, 83)}
"""The numbers of seccomp, fsync and fdatasync."""
_SET_NO_NEW_PRIVILEGES, _SET_MODE_FILTER, _ALL_THREADS = 38, 1, 1
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000 | errno.EIO
_LOAD_NUMBER, _IS, _RETURN = 0x20, 0x15, 0x06


def can_fail() -> bool:
    """Whether this system lets a process have its own calls fail."""
    return sys.platform == "linux" and platform.machine() in _CALLS


def let_syncs_fail() -> None:
    """From now on, for all threads of this process and for good. The system itself does it, by a seccomp filter."""
    seccomp, fsync, fdatasync = _CALLS[platform.machine()]
    program = b"".join(
        struct.pack("HBBI", code, yes, no, value)
        for code, yes, no, value in [
            (_LOAD_NUMBER, 0, 0, 0),
            (_IS, 2, 0, fsync),
            (_IS, 1, 0, fdatasync),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _FAIL),
        ]
    )
    instructions = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if libc.syscall(seccomp, _SET_MODE_FILTER, _ALL_THREADS, described) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")
