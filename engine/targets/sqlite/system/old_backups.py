"""The older backups of a database beside a new one: which of them may be removed, and their removal.

Only a file that the job history knows, unchanged and not in use, is removed. Everything goes through the
descriptor of its directory: others may be able to change that directory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import by_reason, listed
from engine.domain.past_runs import RecordedBackup
from engine.system.clock import now
from engine.system.lock_holders import is_locked
from engine.targets.sqlite.system import directories
from engine.targets.sqlite.system.copying import generated_names, sync_directory
from engine.targets.sqlite.system.files import BESIDE
from engine.targets.sqlite.system.openers import is_open_elsewhere, opened_among
from engine.targets.sqlite.system.page_cache import descriptors_of

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LISTED: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Stays(StrEnum):
    """Why a file that is named like a backup of the database stays."""

    UNKNOWN = "the job history does not know it as a backup of this database"
    UNCHECKED = "a check of it, or of its database, did not find it sound"
    OTHER_SOURCE = "it is a copy of another file that was at the path of the database"
    NO_FILE = "it is not a regular file"
    CHANGED = "it changed since dbtend made it"
    JOURNAL = "a journal or log beside it holds data, or is not its own"
    TARGET = "it is a target of the config file or of an open job"
    OPEN = "a process has it open"
    UNSEEN = "this system does not say whether a process has it open"
    NEEDED = "fewer newer backups are there than when this was planned"


@frozen(kw_only=True)
class BackupSeries:
    """The backups of one database in one directory."""

    database: str
    """The path of the database."""
    sources: frozenset[str]
    """Identify the files that the database has been, as in `RecordedBackup`."""
    directory: str
    recorded: tuple[RecordedBackup, ...]
    """All backups of the database on record, newest first."""


@frozen
class OldBackups:
    """The files that are named like backups of the database."""

    fitting: tuple[RecordedBackup, ...]
    """Backups that may be removed, newest first."""
    staying: Mapping[str, str]
    """The others: names, each with its reason."""

    @property
    def unknown(self) -> int:
        return sum(reason == Stays.UNKNOWN for reason in self.staying.values())

    def beyond(self, keep: int) -> tuple[RecordedBackup, ...]:
        """The backups to remove so that `keep` stay, one of them a newer one."""
        return self.fitting[keep - 1 :]


@frozen(kw_only=True)
class NewBackup:
    """A backup that got its name."""

    path: str
    status: os.stat_result
    is_checked: bool
    """Whether its check found nothing."""


@frozen(kw_only=True)
class Removal:
    """The removed backups, and those that stay."""

    removed: tuple[RecordedBackup, ...]
    staying: Mapping[str, str]
    """Names of files that were to be removed, each with the reason why it stays."""
    is_whole: bool
    """Whether it was not cancelled halfway."""


def file_identity(status: os.stat_result) -> str:
    """Identifies a file until it is written. The number of its device is left out: a reboot may change it."""
    return f"{status.st_ino:x}:{status.st_mtime_ns:x}"


def name_of(backup: RecordedBackup) -> str:
    return os.path.basename(backup.path)  # noqa: PTH119 - pathlib would drop a slash at the end


def describe_staying(staying: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each reason."""
    return tuple(
        f"{listed(names)} {'stays' if len(names) == 1 else 'stay'}: {reason}"
        for reason, names in by_reason(staying.items()).items()
    )


def find(series: BackupSeries, keep: int, maintained: Collection[str]) -> OldBackups:
    """The backups of a series now. `maintained`: the paths of all targets.

    Those beyond `keep` that a process has open are not fitting. Raises OSError.
    """
    with directories.opened(series.directory) as place:
        found = _find(place.descriptor, series, _identities([*maintained, series.database]))
        in_use = _in_use(place.descriptor, found.beyond(keep))
    fitting = tuple(backup for backup in found.fitting if name_of(backup) not in in_use)
    return OldBackups(fitting, {**found.staying, **dict.fromkeys(sorted(in_use), Stays.OPEN)})


def remove(
    series: BackupSeries,
    keep: int,
    planned: Collection[str],
    new: NewBackup,
    maintained: Collection[str],
    is_cancelled: Callable[[], bool],
) -> Removal:
    """Remove the planned files, by name, that are still beyond `keep` and fit, oldest first.

    Raises OSError, FileNotFoundError where the new backup is not at its path.
    """
    with directories.opened(series.directory) as place:
        if not _is_there(place.descriptor, new):
            raise FileNotFoundError(f"{new.path} is not there any more")
        found = _find(place.descriptor, series, _identities([*maintained, series.database]))
        staying = {name: reason for name, reason in found.staying.items() if name in planned}
        staying |= {name: Stays.NEEDED for backup in found.fitting[: keep - 1] if (name := name_of(backup)) in planned}
        wanted = [backup for backup in found.beyond(keep) if name_of(backup) in planned]
        in_use = _in_use(place.descriptor, wanted)
        removed: list[RecordedBackup] = []
        is_whole = True
        for backup in reversed(wanted):
            if is_cancelled():
                is_whole = False
                break
            name = name_of(backup)
            with suppress(FileNotFoundError):  # another process was faster
                reason = Stays.OPEN if name in in_use else _removed(place.descriptor, series, backup)
                if reason is None:
                    removed.append(backup)
                else:
                    staying[name] = reason
        if removed:
            with suppress(OSError):  # then the removal is on the disk later
                sync_directory(place.descriptor)
    return Removal(removed=tuple(removed), staying=staying, is_whole=is_whole)


def _find(directory: int, series: BackupSeries, targets: Collection[tuple[int, int]]) -> OldBackups:
    recorded = _recorded_in(directory, series.recorded)
    fitting, staying = [], {}
    for name in _names(directory, series.database, recorded):
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            backup = recorded.get(name)
            reason = _misfit(status, backup, series.sources, targets)
            if reason is None and _beside(directory, name, status) is None:
                reason = Stays.JOURNAL
            if backup is None or reason is not None:
                staying[name] = reason or Stays.UNKNOWN
            else:
                fitting.append(backup)
    return OldBackups(tuple(sorted(fitting, key=lambda backup: -backup.finished_at)), staying)


def _recorded_in(directory: int, recorded: Iterable[RecordedBackup]) -> dict[str, RecordedBackup]:
    """The newest backup on record in this directory by name, whatever the directory was called then."""
    here = os.stat(directory)
    is_here: dict[str, bool] = {}
    found: dict[str, RecordedBackup] = {}
    for backup in recorded:
        place, name = os.path.split(backup.path)
        if place not in is_here:
            is_here[place] = False
            with suppress(OSError, ValueError):
                is_here[place] = os.path.samestat(os.stat(place), here)  # noqa: PTH116 - of "" nothing
        if is_here[place]:
            found.setdefault(name, backup)
    return found


def _names(directory: int, database: str, recorded: Iterable[str]) -> list[str]:
    """Names that dbtend gives backups of the database, in the directory; if it cannot be listed, the recorded ones."""
    names = generated_names(database)
    try:
        listing = os.open(".", _LISTED, dir_fd=directory)
    except PermissionError:
        return sorted(name for name in recorded if names.fullmatch(name))
    try:
        return sorted(filter(names.fullmatch, os.listdir(listing)))  # noqa: PTH208 - a descriptor
    finally:
        os.close(listing)


def _misfit(
    status: os.stat_result,
    backup: RecordedBackup | None,
    sources: Collection[str],
    targets: Collection[tuple[int, int]],
) -> Stays | None:
    """Why a file is not to be removed; None where nothing is against it."""
    if (status.st_dev, status.st_ino) in targets:
        return Stays.TARGET
    if backup is None:
        return Stays.UNKNOWN
    if not stat.S_ISREG(status.st_mode):
        return Stays.NO_FILE
    if status.st_size != backup.size or not _is_file(status, backup):
        return Stays.CHANGED
    if not backup.is_checked:
        return Stays.UNCHECKED
    return Stays.OTHER_SOURCE if backup.source and backup.source not in sources else None


def _is_file(status: os.stat_result, backup: RecordedBackup) -> bool:
    if backup.identity:
        return backup.identity == file_identity(status)
    # Made by a version that did not record it: last written while its job ran.
    return backup.started_at <= now.at_host(status.st_mtime_ns) <= backup.finished_at


def _beside(directory: int, name: str, database: os.stat_result) -> list[str] | None:
    """The journal, log and index of a database; None if one belongs to another database or may still be needed."""
    found = []
    for beside in (name + end for end in BESIDE):
        with suppress(FileNotFoundError):
            status = os.stat(beside, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != database.st_uid:
                return None
            if status.st_size and not beside.endswith("-shm") and not _is_cold_journal(directory, beside):
                return None
            found.append(beside)
    return found


def _is_cold_journal(directory: int, name: str) -> bool:
    """Whether SQLite would not roll it back: it is a rollback journal whose header was overwritten."""
    if not name.endswith("-journal"):
        return False
    try:
        journal = os.open(name, _READ, dir_fd=directory)
    except OSError:
        return False
    try:
        return os.pread(journal, 1, 0) == b"\0"
    finally:
        os.close(journal)


def _identities(paths: Iterable[str]) -> set[tuple[int, int]]:
    found = set()
    for path in paths:
        with suppress(OSError, ValueError):
            status = os.stat(path)  # noqa: PTH116 - as fast as it gets: there may be thousands
            found.add((status.st_dev, status.st_ino))
    return found


def _in_use(directory: int, backups: Iterable[RecordedBackup]) -> set[str]:
    """The names of those that a process has open, as far as this process may look."""
    files = {}
    for name in map(name_of, backups):
        with suppress(OSError):
            files[name] = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not files:
        return set()
    ours = {name for name, status in files.items() if descriptors_of((status.st_dev, status.st_ino))}
    return ours | opened_among(files)


def _is_there(directory: int, new: NewBackup) -> bool:
    with suppress(OSError):
        found = os.stat(os.path.basename(new.path), dir_fd=directory, follow_symlinks=False)  # noqa: PTH119 - a name
        return os.path.samestat(found, new.status) and file_identity(found) == file_identity(new.status)
    return False


def _removed(directory: int, series: BackupSeries, backup: RecordedBackup) -> str | None:
    """Remove a backup that no process has open, with what lies beside it; why it stays, or None if it is gone.

    What lies beside it goes first, as nothing in it is needed: so at any moment the backup is whole, or gone.

    Raises FileNotFoundError if it no longer exists.
    """
    name = name_of(backup)
    try:
        # No connection of this process has the file open, so closing the descriptor drops no lock of SQLite.
        file = os.open(name, _READ, dir_fd=directory)
        try:
            status = os.fstat(file)
            if reason := _misfit(status, backup, series.sources, ()):
                return reason
            if (is_open := is_open_elsewhere(file)) is None:
                is_open = is_locked(f"{series.directory}/{name}")
            if is_open is not False:
                return Stays.UNSEEN if is_open is None else Stays.OPEN
            beside = _beside(directory, name, status)
            if beside is None:
                return Stays.JOURNAL
            if not os.path.samestat(os.stat(name, dir_fd=directory, follow_symlinks=False), status):
                return Stays.CHANGED
            for one in (*beside, name):
                with suppress(FileNotFoundError):
                    os.unlink(one, dir_fd=directory)
        finally:
            os.close(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Stays.NO_FILE
        return f"it cannot be removed ({error.strerror or error})"
    return None
