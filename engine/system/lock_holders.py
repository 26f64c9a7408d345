"""Who holds locks on a database, told without opening it: opening and closing a live SQLite file drops its locks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from engine.domain.frozen import frozen
from engine.domain.humanize import counted
from engine.system.mounts import Mount, mount_of, mounts
from engine.system.paths import real_path


class Use(StrEnum):
    """What a process does with a database, as its locks tell; the strongest first."""

    EXCLUSIVE = "has locked it for itself"
    PENDING = "waits for its readers, to write it"
    RECOVERY = "is recovering it"
    CHECKPOINT = "is writing its log back"
    WRITE = "is writing it"
    RESERVED = "is about to write it"
    READ = "reads it"
    OPEN = "has it open"


@frozen
class Holder:
    """A process with locks on a database. `pid` is None where Linux names none: such locks belong to open files."""

    pid: int | None
    command: str  # untrusted, but without control characters; "" where it may not be seen
    lock: Use


class FileId(NamedTuple):
    device: int
    inode: int


class HeldLock(NamedTuple):
    """A line of /proc/locks; `pid` is -1 for a lock that belongs to an open file instead of a process."""

    pid: int
    exclusive: bool
    file: FileId
    first: int
    last: float


class _Rule(NamedTuple):
    use: Use
    in_wal_index: bool
    exclusive: bool
    first: int
    last: int


_LOCK_BYTES: Final = 0x40000000
# The first matching rule wins. The last one is a reader outside WAL mode only: in WAL mode every process that has the
# database open holds that lock.
_RULES: Final = (
    _Rule(Use.EXCLUSIVE, False, True, _LOCK_BYTES + 2, _LOCK_BYTES + 511),
    _Rule(Use.PENDING, False, True, _LOCK_BYTES, _LOCK_BYTES),
    _Rule(Use.RECOVERY, True, True, 122, 122),
    _Rule(Use.CHECKPOINT, True, True, 121, 121),
    _Rule(Use.WRITE, True, True, 120, 120),
    _Rule(Use.RESERVED, False, True, _LOCK_BYTES + 1, _LOCK_BYTES + 1),
    _Rule(Use.READ, True, False, 123, 127),
    _Rule(Use.OPEN, True, False, 128, 128),
    _Rule(Use.READ, False, False, _LOCK_BYTES + 2, _LOCK_BYTES + 511),
)
_STRENGTH: Final = {use: place for place, use in enumerate(Use)}
_LOCK_LINE: Final = re.compile(
    r"\d+: (?:POSIX|OFDLCK) +\w+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) (\d+) (\d+|EOF)"
)
_WHOLE_FILE_LINE: Final = re.compile(r"\d+: FLOCK +\w+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ")
_COMMAND_LENGTH: Final = 40
_NAMED_HOLDERS: Final = 3


def holders(path: str) -> tuple[Holder, ...] | None:
    """The other processes that hold locks on the database at `path`, strongest lock first.

    None if unknown: on other systems than Linux. Locks from outside this container, or from other hosts on a network
    file system, are not seen.
    """
    uses = _uses(path)
    if uses is None:
        return None
    others = {pid: use for pid, use in uses.items() if pid != os.getpid()}
    return tuple(Holder(None if pid < 0 else pid, _command(pid), use) for pid, use in others.items())


def openers_in_words(pids: Iterable[int]) -> str:
    """`process 12 (sqlite3) has it open`; "" without processes."""
    return format_holders([Holder(pid, _command(pid), Use.OPEN) for pid in pids])


def blocking_writers(holders: Iterable[Holder], *, wal: bool) -> Iterator[Holder]:
    """The holders that block a writer: in WAL mode readers do not."""
    return (holder for holder in holders if holder.lock is not Use.OPEN and not (wal and holder.lock is Use.READ))


def is_locked(path: str) -> bool | None:
    """Whether any process, this one included, holds a lock on the database; None if unknown."""
    uses = _uses(path)
    return None if uses is None else bool(uses)


def whole_file_holders(path: str) -> tuple[Holder, ...]:
    """The processes that hold an flock on the file at `path`, as far as may be seen."""
    try:
        text, all_mounts = Path("/proc/locks").read_text(encoding="ascii"), mounts()
    except OSError:
        return ()
    files = _ids_of(real_path(path), all_mounts)
    found = filter(None, map(_WHOLE_FILE_LINE.match, text.splitlines()))
    pids = {int(line[2]) for line in found if _file_id(*line.groups()[2:]) in files}
    return tuple(Holder(pid, _command(pid), Use.EXCLUSIVE) for pid in sorted(pids))


def _uses(path: str) -> dict[int, Use] | None:
    try:
        text, all_mounts = Path("/proc/locks").read_text(encoding="ascii"), mounts()
    except OSError:
        return None
    real = real_path(path)  # SQLite resolves links for the files beside it
    database, wal_index = _ids_of(real, all_mounts), _ids_of(real + "-shm", all_mounts)
    # Most lines are of other files, and each takes as long to parse as all take to be looked through.
    numbers = {f":{file.inode} " for file in database | wal_index}
    lines = (line for line in text.splitlines() if any(number in line for number in numbers))
    return uses_by_process(parse_locks("\n".join(lines)), database, wal_index)


def locked_by(path: str) -> str:
    """The processes that block writers of a database in WAL mode, as text; "" if none, or if unknown."""
    return format_holders(tuple(blocking_writers(holders(path) or (), wal=True)))


def format_holders(holders: Sequence[Holder]) -> str:
    """`process 4711 (python3 app.py) reads it and process 12 (sqlite3) has it open`; "" without holders."""
    texts = [f"{_name(holder)} {holder.lock}" for holder in holders[:_NAMED_HOLDERS]]
    if more := len(holders) - len(texts):
        texts.append(f"{more} more {'process uses' if more == 1 else 'processes use'} it")
    return _joined(texts)


def format_holder_names(holders: Sequence[Holder]) -> str:
    """`process 4711 (python3 app.py) and process 12 (sqlite3)`."""
    names = [_name(holder) for holder in holders[:_NAMED_HOLDERS]]
    if more := len(holders) - len(names):
        names.append(counted(more, "more process"))
    return _joined(names)


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _name(holder: Holder) -> str:
    who = "a process that Linux does not name" if holder.pid is None else f"process {holder.pid}"
    return f"{who} ({holder.command})" if holder.command else who


def parse_locks(text: str) -> Iterator[HeldLock]:
    """The held record locks in /proc/locks; lines of waiters have an arrow."""
    for line in text.splitlines():
        if found := _LOCK_LINE.match(line):
            kind, pid, major, minor, inode, first, last = found.groups()
            file = _file_id(major, minor, inode)
            yield HeldLock(int(pid), kind == "WRITE", file, int(first), float("inf") if last == "EOF" else int(last))


def _file_id(major: str, minor: str, inode: str) -> FileId:
    """The file id in a line of /proc/locks."""
    return FileId(os.makedev(int(major, 16), int(minor, 16)), int(inode))


def uses_by_process(locks: Iterable[HeldLock], database: set[FileId], wal_index: set[FileId]) -> dict[int, Use]:
    """The use of a database by each process, strongest first."""
    by_pid: dict[int, list[HeldLock]] = {}
    for lock in locks:
        by_pid.setdefault(lock.pid, []).append(lock)
    uses = {pid: use for pid, held in by_pid.items() if (use := _use_of(held, database, wal_index))}
    return dict(sorted(uses.items(), key=lambda item: _STRENGTH[item[1]]))


def _use_of(held: Sequence[HeldLock], database: set[FileId], wal_index: set[FileId]) -> Use | None:
    for rule in _RULES:
        files = wal_index if rule.in_wal_index else database
        for lock in held:
            overlaps = lock.first <= rule.last and lock.last >= rule.first
            if lock.file in files and overlaps and lock.exclusive >= rule.exclusive:
                return rule.use
    return None


def _ids_of(path: str, all_mounts: Sequence[Mount]) -> set[FileId]:
    """The numbers of the file in /proc/locks; none if it does not exist."""
    try:
        status = Path(path).stat()
    except OSError:
        return set()
    mount = mount_of(path, all_mounts)
    return {FileId(device, status.st_ino) for device in (status.st_dev, mount.device if mount else status.st_dev)}


def _command(pid: int) -> str:
    try:
        name, *arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        return short_command(name or Path(f"/proc/{pid}/comm").read_text(errors="replace"), arguments)
    except OSError:
        return ""


def short_command(program: str, arguments: Sequence[str]) -> str:
    """`python3 app.py`: without options, and nothing after the first argument, where passwords may be."""
    first = next((argument for argument in arguments if not argument.startswith("-")), "")
    words = f"{program.rpartition('/')[2]} {first}".split()
    text = "".join(char if char.isprintable() else "?" for char in " ".join(words))
    return text if len(text) <= _COMMAND_LENGTH else text[: _COMMAND_LENGTH - 1] + "…"
