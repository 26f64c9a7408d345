"""Litestream, LiteFS, rqlite, Syncthing, NFS: told by what lies beside a database, and what a rewrite would do.

`planning/planner.py` refuses VACUUM there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from typing import Final

from engine.system.mounts import Mount, mount_of, mounts


class Replicator(StrEnum):
    """A program that replicates the database, by its name."""

    LITESTREAM = "Litestream"
    LITEFS = "LiteFS"
    RQLITE = "rqlite"
    SYNCTHING = "Syncthing"
    NFS = "NFS"


EFFECTS: Final = {
    Replicator.LITESTREAM: "it would upload a new snapshot as large as the database",
    Replicator.LITEFS: "it would send every page to all replicas",
    Replicator.RQLITE: "rqlite alone may write this file, and its nodes would no longer agree",
    Replicator.SYNCTHING: "it would send the whole file, and may copy it in the middle of a write",
    Replicator.NFS: "locks of other machines may not hold, and two writers damage the file",
}
"""What a rewrite of the database means to each."""
_RQLITE: Final = ("raft.db", "raft", "rsnapshots", "wsnapshots")
_RQLITE_MARKS: Final = 2


def replicators(path: str) -> tuple[Replicator, ...]:
    """The replicators that seem to work on the database at the absolute `path` without links."""
    directory, _, name = path.rpartition("/")
    found = {
        Replicator.LITESTREAM: _is_there(f"{directory}/.{name}-litestream"),
        Replicator.LITEFS: _is_there(f"{path}-pos") or _is_mounted(path, "litefs"),
        Replicator.RQLITE: sum(_is_there(f"{directory}/{mark}") for mark in _RQLITE) >= _RQLITE_MARKS,
        Replicator.SYNCTHING: any(_is_there(f"{above}/.stfolder") for above in _directories_above(directory)),
        Replicator.NFS: _is_mounted(path, "nfs"),
    }
    return tuple(name for name, is_here in found.items() if is_here)


def described(found: tuple[Replicator, ...]) -> str:
    """What a rewrite of the database would cause, one sentence; "" where nothing is found."""
    return "; ".join(f"{name} works on this database: {EFFECTS[name]}" for name in found)


def _directories_above(directory: str) -> Iterator[str]:
    """`directory` and all above it; the root is ""."""
    yield directory
    while directory:
        directory = directory.rpartition("/")[0]
        yield directory


def _is_there(path: str) -> bool:
    with suppress(OSError):
        return os.path.lexists(path)
    return False


def _is_mounted(path: str, kind: str) -> bool:
    try:
        mount = mount_of(path, mounts())
    except OSError:
        return False
    return mount is not None and _is_of(mount, kind)


def _is_of(mount: Mount, kind: str) -> bool:
    return mount.kind.startswith(kind) or (mount.kind.startswith("fuse") and kind in mount.kind + mount.source)
