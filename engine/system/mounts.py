"""Mounts, from /proc/self/mountinfo."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from engine.domain.frozen import frozen

_LINE: Final = re.compile(r"\d+ \d+ (\d+):(\d+) (\S+) (\S+) .*? - (\S+) (\S+) (\S+)")
_OF_OTHER_MACHINES: Final = re.compile(r"nfs.*|cifs|smb.*|fuse.*|9p|ceph|afs|glusterfs|lustre|gfs2|ocfs2|virtiofs")
_LAYERED: Final = re.compile(r"overlay|aufs|unionfs|ecryptfs")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@frozen
class Mount:
    device: int  # the number that the kernel itself uses; on btrfs `os.stat` gives another
    root: str  # the directory of the file system that is seen at `point`
    point: str
    kind: str
    options: frozenset[str]  # of the file system; of a control group: its controllers
    source: str = ""


def mounts() -> tuple[Mount, ...]:
    """All mounts, read at most a second ago; later ones hide earlier ones.

    Raises OSError on other systems than Linux.
    """
    return _mounts(int(time.monotonic()))


def mounts_elsewhere() -> Iterator[Mount]:
    """The mounts of other mount namespaces, such as containers, as far as they may be seen. Raises OSError."""
    seen = {Path("/proc/self/ns/mnt").readlink()}
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        with suppress(OSError):  # it has ended, or we may not look into it
            if (namespace := (process / "ns/mnt").readlink()) not in seen:
                yield from parse_mounts((process / "mountinfo").read_text(errors="surrogateescape"))
                seen.add(namespace)


@lru_cache(maxsize=1)
def _mounts(_second: int) -> tuple[Mount, ...]:
    """Kept, as every job asks more than once, and the kernel may take half a millisecond."""
    return _parsed(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))


@lru_cache(maxsize=2)
def _parsed(text: str) -> tuple[Mount, ...]:
    """Kept, as they hardly ever change."""
    return tuple(parse_mounts(text))


def parse_mounts(text: str) -> Iterator[Mount]:
    for line in text.splitlines():
        if found := _LINE.match(line):
            major, minor, root, point, kind, source, options = found.groups()
            device = os.makedev(int(major), int(minor))
            yield Mount(device, _plain(root), _plain(point), kind, frozenset(options.split(",")), _plain(source))


def mount_of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount of an absolute path without links."""
    above = [mount for mount in mounts if path == mount.point or path.startswith(mount.point.rstrip("/") + "/")]
    return max(reversed(above), key=lambda mount: len(mount.point), default=None)  # a later one hides an earlier


def is_local(path: str) -> bool:
    """Whether the file is certainly on a local disk or in memory: other machines cannot change it."""
    return _is_local(_kind(path))


def is_local_and_unlayered(path: str) -> bool:
    """Whether it is local and not on a layered file system: then the kernel knows all processes that have it open."""
    kind = _kind(path)
    return _is_local(kind) and _LAYERED.fullmatch(kind or "") is None


def _is_local(kind: str | None) -> bool:
    return kind is not None and _OF_OTHER_MACHINES.fullmatch(kind) is None


def _kind(path: str) -> str | None:
    """The type of the file system."""
    try:
        mount = mount_of(path, mounts())
    except OSError:
        return None
    return None if mount is None else mount.kind


def _plain(escaped: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), escaped)
