"""Whether a compact copy may replace a database: only if dbtend can prove that no process has it open."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Final

from engine.system.lock_holders import openers_in_words
from engine.system.mounts import mount_of, mounts, mounts_elsewhere
from engine.targets.sqlite.system import directories
from engine.targets.sqlite.system.exchange import IN_USE, can_swap_names
from engine.targets.sqlite.system.opened_file import OpenedFile
from engine.targets.sqlite.system.openers import is_only_opener, openers
from engine.targets.sqlite.system.page_cache import descriptors_of
from engine.targets.sqlite.system.replicators import replicators
from engine.targets.sqlite.system.unfinished_backup import directory_for

_IN_PLACE: Final = "use --no-swap"
KEEPS_JOURNAL: Final = (
    f"an application keeps its journal beside the database (journal_mode PERSIST or TRUNCATE): {_IN_PLACE}"
)
CANNOT_BE_WRITTEN: Final = "the file cannot be written, though its mode allows that (see lsattr)"
_LONGEST_NAME: Final = 255
_FILE_SYSTEMS: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs"})
_EXT: Final = frozenset({"ext2", "ext3", "ext4"})
NO_FILE_SYSTEM_JOURNAL: Final = (
    "the file system has no journal: a power failure at the moment of the exchange may leave no complete database at"
    f" this path ({_IN_PLACE} if that must not happen)"
)
_EXPORTS: Final = (Path("/proc/fs/nfsd/exports"), Path("/var/lib/nfs/etab"))


def problem_with(path: str) -> str | None:
    """Why the database at the absolute `path` without links cannot be exchanged; None where it may be tried."""
    if why := _problem(path):
        return f"{why}: {_IN_PLACE}"
    directory = next((str(one) for one in reversed(Path(path).parents) if not directories.is_ours(str(one))), None)
    if directory is None:
        return None
    if os.geteuid() != Path(path).stat().st_uid:
        return f"others can change {directory}: run dbtend as the owner of the database, or {_IN_PLACE}"
    return f"others can change {directory}: let only its owner write there, or {_IN_PLACE}"


def lacks_file_system_journal(path: str) -> bool:
    """Whether the file system certainly has no journal: a power failure may then leave a part of an exchange."""
    try:
        mount = mount_of(path, mounts())
        if mount is None or mount.kind not in _EXT:
            return False
        device = Path(f"/sys/dev/block/{os.major(mount.device)}:{os.minor(mount.device)}").resolve().name
        return mount.kind == "ext2" or Path(f"/sys/fs/ext4/{device}/journal_task").read_text() == "<none>\n"
    except OSError:
        return False


def keeps_journal(file: OpenedFile) -> bool:
    """Whether an application keeps its rollback journal beside the database, where it would then lie beside another
    file: it is there before and after a moment in which no other process has the database open."""
    journal = _state(f"{file.path}-journal")
    return journal is not None and not who_else_has_it_open(file) and _state(f"{file.path}-journal") == journal


def _state(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).lstat()
    except OSError:
        return None
    return status.st_ino, status.st_ctime_ns


def who_else_has_it_open(file: OpenedFile) -> str:
    """The other processes that have the opened file open, as far as dbtend may see them; "" if there are none."""
    descriptors = descriptors_of(file.numbers)
    if len(descriptors) == 1 and is_only_opener(*descriptors):
        return ""
    try:
        found = openers(file.path)
    except FileNotFoundError:
        found = None
    return openers_in_words(found.pids if found is not None else ()) or IN_USE


def _problem(path: str) -> str | None:
    if sys.platform != "linux":
        return "only Linux can prove that no other process has the file open"
    if not can_swap_names():
        return "the C library of this system cannot exchange two files"
    if found := replicators(path):
        return f"{' and '.join(found)} would lose track of the file"
    try:
        status, known, elsewhere = Path(path).stat(), mounts(), tuple(mounts_elsewhere())
    except OSError as error:
        return f"the file cannot be looked at ({error.strerror})"
    mount = mount_of(path, known)
    if mount is None or mount.kind not in _FILE_SYSTEMS:
        kind = "" if mount is None else f" {mount.kind}"
        return f"on the file system{kind} dbtend cannot prove that no other process has the file open"
    on_disk = os.path.normpath(Path(mount.root, os.path.relpath(path, mount.point)))
    if any(one.point == path or (one.device, one.root) == (mount.device, on_disk) for one in known):
        return "the file is mounted by itself, and that mount would keep the old one"
    if any((one.device, one.root) == (mount.device, on_disk) for one in elsewhere):
        return "a container mounts the file by itself, and would keep the old one"
    if status.st_nlink > 1:
        return f"the file has {status.st_nlink} names (hard links), and only one of them would lead to the new file"
    if os.geteuid() not in {0, status.st_uid}:
        return "only the owner of the file can prove that no other process has it open"
    if os.geteuid() and status.st_gid not in {*os.getgroups(), _group_of_new_files(Path(path).parent)}:
        return "only a member of its group can give a new file that group"
    if len(os.fsencode(Path(directory_for(path)).name)) > _LONGEST_NAME:
        return "the name of the file is too long for one with a copy beside it"
    if _is_exported(path):
        return "its directory is exported by NFS, and clients cannot be seen"
    return None


def _group_of_new_files(directory: Path) -> int:
    status = directory.stat()
    return status.st_gid if status.st_mode & stat.S_ISGID else os.getegid()


def _is_exported(path: str) -> bool:
    for exports in _EXPORTS:
        try:
            lines = exports.read_text(errors="surrogateescape").splitlines()
        except OSError:
            continue
        exported = [line.split()[0] for line in lines if line.startswith("/")]
        if any(path.startswith(f"{place.rstrip('/')}/") for place in exported):
            return True
    return False
