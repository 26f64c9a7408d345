"""The free resources of this machine, and those that this process uses: from /proc, so mostly unknown off Linux.

What we use is asked ten times a second while something runs, at a few hundredths of a millisecond.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from engine.domain.lazy_import import lazy
from engine.system.mounts import Mount, mounts

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = lazy("ctypes", "only VACUUM needs it here")

_FAULTS: Final = 7  # its place among the numbers behind the name


def available_memory() -> int | None:
    """Bytes that may be used now without harm to others: what the system has, and what our control groups allow.

    Read at most once a second: that takes a hundred times as long as many a step of a plan.
    """
    return _available_memory(int(time.monotonic()))


@lru_cache(maxsize=1)
def _available_memory(_second: int) -> int | None:
    free = field(_text("/proc/meminfo"), "MemAvailable")
    if free is None:
        return None
    return min([free * 1024, *_known(map(memory_left, _our_groups("memory")))])


def processors() -> int:
    """How many processors we may keep busy, by our affinity and our control groups; at least 1."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([ours, *_limits_of_processors(int(time.monotonic()))])


@lru_cache(maxsize=1)
def _limits_of_processors(_second: int) -> list[int]:
    return _known(map(processors_allowed, _our_groups("cpu")))


def thread_io(thread: int) -> tuple[int, int] | None:
    """Bytes that a thread of this process, by its native id, has read and written so far, cached or not."""
    text = _text(f"/proc/self/task/{thread}/io")
    read, written = field(text, "rchar"), field(text, "wchar")
    return None if read is None or written is None else (read, written)


def thread_disk_reads(thread: int) -> int | None:
    """Bytes that the disk has delivered to a thread of this process, by its native id, so far."""
    return field(_text(f"/proc/self/task/{thread}/io"), "read_bytes")


def memory_touched(thread: int) -> int | None:
    """Bytes of memory that a thread of this process, by its native id, was the first to touch so far.

    Of mapped files a touch brings a window of pages, and counts as one.
    """
    _, named, numbers = _text(f"/proc/self/task/{thread}/stat").rpartition(")")  # a name may hold spaces
    return int(numbers.split()[_FAULTS]) * os.sysconf("SC_PAGE_SIZE") if named else None


def give_back_memory() -> None:
    """Give free memory back to the system: glibc keeps all of it that was taken in small pieces."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def field(text: str, name: str) -> int | None:
    """The number in the line `name: 12 kB`, or `name 12`."""
    found = re.search(rf"^{name}:?\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None


def groups_around(text: str, all_mounts: Iterable[Mount], controller: str) -> Iterator[Path]:
    """The directories of the control groups we are in, from our own outwards, in both versions of the interface.

    `text` is that of /proc/self/cgroup.
    """
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        for mount in all_mounts:
            first = mount.kind == "cgroup" and controller in controllers.split(",") and controller in mount.options
            second = mount.kind == "cgroup2" and not controllers
            if first or second:
                inside = PurePosixPath(group).is_relative_to(mount.root)  # in a container it may not be
                relative = PurePosixPath(group).relative_to(mount.root) if inside else PurePosixPath()
                yield from (Path(mount.point, part) for part in (relative, *relative.parents))


def memory_left(group: Path) -> int | None:
    """Bytes that a control group may still use; None where it has no limit. Cached files that rest count as free."""
    limits = _known(_number(group / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes"))
    used = _known(_number(group / name) for name in ("memory.current", "memory.usage_in_bytes"))
    if not limits or not used:
        return None
    statistics = _text(group / "memory.stat")
    resting = field(statistics, "total_inactive_file") or field(statistics, "inactive_file") or 0
    return max(0, min(limits) - used[0] + resting)


def processors_allowed(group: Path) -> int | None:
    """How many processors' time a control group may use, rounded up; None where it has no limit."""
    quota, _, period = _text(group / "cpu.max").partition(" ")
    if not period:
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
    with suppress(ValueError):  # "max"
        if int(quota) > 0:  # not -1
            return math.ceil(int(quota) / int(period))
    return None


def _our_groups(controller: str) -> tuple[Path, ...]:
    with suppress(OSError):
        return _groups_around(_text("/proc/self/cgroup"), controller)
    return ()


@lru_cache(maxsize=8)
def _groups_around(text: str, controller: str) -> tuple[Path, ...]:
    """Kept, as each plan of an operation asks, and only who moves us into another group changes it."""
    return tuple(groups_around(text, mounts(), controller))


def _known(numbers: Iterable[int | None]) -> list[int]:
    return [number for number in numbers if number is not None]


def _number(path: Path) -> int | None:
    with suppress(ValueError):  # "max"
        return int(_text(path))
    return None


def _text(path: str | Path) -> str:
    """The text of a file; "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a third of the time
            return file.read()
    except OSError:
        return ""
