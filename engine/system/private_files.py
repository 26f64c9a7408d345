"""Private files: created so that no other user can change them, and verified before they are trusted.

As OpenSSH does with StrictModes, all directories above a file are verified, too: write access to a directory allows
replacing its files. A sticky directory such as /tmp is safe: other users cannot remove or rename files there.
The rule is the same for the store, the config file, option files, secrets and programs.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.domain.errors import StoreError
from engine.domain.frozen import frozen
from engine.domain.lazy_import import lazy

if TYPE_CHECKING:
    import shlex
    import shutil
else:
    shutil = lazy("shutil", "only a program that is to be run needs it")
    shlex = lazy("shlex", "only a file that others can change needs it")

_BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite writes, and reads, beside its file."""
_MOST_LINKS: Final = 40
_EVERY_USER: Final = 2**32 - 1  # ids, in a namespace that has all of them


def require_private_store(store: Path) -> None:
    """Raise StoreError unless the store and the files beside it are regular files, owned by this user or root, and no
    other user can write to them or to a directory above. Missing files are ignored.

    `store`: without symbolic links. Only the status of the file is read.
    """
    beside = [store.with_name(store.name + suffix) for suffix in _BESIDE]
    _require_file(store, "give the path of a file with --store")
    for path in beside:
        _require_file(path, "remove it, or give another --store")
    for path in (store, *beside, directory_of(store)):
        _require_own(path)
    for directory in store.parents:
        _require_own(directory, is_above=True)


def require_private_descriptors(store: Path) -> None:
    """Raise StoreError if an open file of the store belongs to another user.

    In a sticky directory other users can create a file beside the store after it was verified.
    """
    names = {str(store), *(f"{store}{suffix}" for suffix in _BESIDE)}
    descriptors = Path("/proc/self/fd")
    for descriptor in descriptors.iterdir() if descriptors.is_dir() else ():
        with suppress(OSError):  # closed by now
            name = str(descriptor.readlink()).removesuffix(" (deleted)")
            if name in names:
                _refuse(name, descriptor.stat())


def directory_of(store: Path) -> Path:
    """The directory of the locks and logs of the processes of a store."""
    return store.with_name(store.name + ".d")


def private_directory(store: Path) -> Path:
    """The directory of `directory_of`, created if missing. Raises StoreError if that fails, or if it is not private."""
    real = Path(os.path.realpath(store))  # the same under every name of the store
    directory = directory_of(real)
    require_private_store(real)
    try:
        make_directories(directory)
    except OSError as error:
        raise unusable(directory, error) from error
    _require_own(directory)
    return directory


def make_directories(directory: Path) -> None:
    """Create a directory and its missing parents, private whatever the umask. Raises OSError."""
    missing = [directory]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
            path.chmod(0o700)
    if not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))


def open_private(path: str | Path, flags: int) -> int:
    """A descriptor of a private file, created if `flags` have O_CREAT; symbolic links are not followed.

    Raises OSError, StoreError.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _is_a_link(path) from None
        raise
    try:
        status = os.fstat(descriptor)
        _refuse(path, status)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(str(path), "is no file", "remove it")
        if status.st_mode & 0o600 != 0o600 and status.st_uid == os.geteuid():  # the umask
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unusable(directory: Path, error: OSError) -> StoreError:
    """The error of a directory whose files cannot be written."""
    return StoreError(str(directory), f"cannot be used: {error.strerror}", "it must be a directory of your own")


@frozen
class Exposure:
    """A way in which another user could change files that dbtend trusts."""

    path: str
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path} {self.why}"


class ExposedError(Exception):
    """Another user could change a file that was to be trusted."""

    def __init__(self, exposure: Exposure) -> None:
        super().__init__(str(exposure))
        self.exposure: Final = exposure


def exposure(path: str | Path) -> Exposure | None:
    """The exposure of a file, or of a directory or symbolic link that leads to it; None if no other user can change
    it. Raises OSError."""
    # An absolute path needs no working directory, which may be gone.
    way = list(_way(file if (file := Path(path)).is_absolute() else Path.cwd() / file))
    for place in way:
        with suppress(FileNotFoundError, NotADirectoryError):
            if found := _exposed(place, place.lstat(), is_above=place != way[-1]):
                return found
    return None


def program_exposure(command: Sequence[str]) -> Exposure | None:
    """The exposure of a program, or of a script that it is given by its full path. Raises OSError."""
    scripts = [word for word in command[1:] if word.startswith("/") and Path(word).is_file()]
    program = shutil.which(command[0])
    return next(filter(None, map(exposure, [program, *scripts] if program else scripts)), None)


def read_private(path: str | Path, most: int) -> bytes:
    """The content of a regular file, cut after `most` bytes.

    Raises OSError; ExposedError if another user could change it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "It is not a regular file")
        if found := exposure(path) or _exposed(path, status, is_above=False):
            raise ExposedError(found)
        return file.read(most)


def is_private_directory(status: os.stat_result) -> bool:
    """Whether no other user can replace the files of a directory with this status."""
    return _exposed("", status, is_above=True) is None


def _way(path: Path) -> Iterator[Path]:
    """Each directory and symbolic link that leads to a file, and the file at the end. Raises OSError."""
    here, parts, links = Path("/"), [*reversed(path.parts)], 0
    while parts:
        part = parts.pop()
        place = here.parent if part == ".." else here / part
        yield place
        if part != ".." and place.is_symlink():
            if (links := links + 1) > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            parts += reversed(place.readlink().parts)
        else:
            here = place


def _require_file(path: Path, fix: str) -> None:
    """Refuse devices first: the hint for them must not be chmod."""
    status = _status(path)
    if status is None or stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        return
    raise StoreError(str(path), "is a directory" if stat.S_ISDIR(status.st_mode) else "is no ordinary file", fix)


def _require_own(path: Path, *, is_above: bool = False) -> None:
    if (status := _status(path)) is not None:
        _refuse(path, status, is_above=is_above)


def _status(path: Path) -> os.stat_result | None:
    """The status of a file; None if it does not exist. Raises StoreError."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(
            str(path), f"cannot be accessed: {error.strerror}", "give another path with --store"
        ) from error


def _refuse(path: str | Path, status: os.stat_result, *, is_above: bool = False) -> None:
    """Raise StoreError if another user could change it or its content."""
    if stat.S_ISLNK(status.st_mode):
        raise _is_a_link(path)
    if found := _exposed(path, status, is_above=is_above):
        raise StoreError(found.path, found.why, f"{found.fix}, or give another --store")


def _is_a_link(path: str | Path) -> StoreError:
    return StoreError(str(path), "is a symbolic link, which dbtend does not follow there", "remove it")


def _exposed(path: str | Path, status: os.stat_result, *, is_above: bool) -> Exposure | None:
    if status.st_uid not in _trusted(os.geteuid()):
        why = f"belongs to {_user(status.st_uid)}, who could change what dbtend runs"
        return Exposure(str(path), why, _to_own(path, status, is_above=is_above))
    if stat.S_ISLNK(status.st_mode) or (is_above and status.st_mode & stat.S_ISVTX):
        return None
    if others := _possible_writers(status):
        why = f"can be written by {' and '.join(others.values())}, who could change what dbtend runs"
        return Exposure(str(path), why, f"chmod {''.join(others)}-w {shlex.quote(str(path))}")
    return None


def _to_own(path: str | Path, status: os.stat_result, *, is_above: bool) -> str:
    """What to do about a file of another user; a directory above it, such as a home, stays that user's."""
    user = _user(os.geteuid())
    if is_above and stat.S_ISDIR(status.st_mode):
        return f"put the file into a directory of {user}"
    flag = "-h " if stat.S_ISLNK(status.st_mode) else ""
    who = "" if os.geteuid() == 0 else ", as root"
    return f"if you trust what is in it{who}: chown {flag}{user} {shlex.quote(str(path))}"


@lru_cache(maxsize=2)
def _trusted(user: int) -> frozenset[int]:
    """`user` and root; in a user namespace also the overflow user: no process there can become that one."""
    trusted = {0, user}
    with suppress(OSError, ValueError):
        first, _, number = map(int, Path("/proc/self/uid_map").read_text().split("\n", 1)[0].split())
        if (first, number) != (0, _EVERY_USER):
            trusted.add(int(Path("/proc/sys/kernel/overflowuid").read_text()))
    return frozenset(trusted)


def _possible_writers(status: os.stat_result) -> dict[str, str]:
    """Other users with write access, by their chmod letter."""
    others = {}
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid):
        others["g"] = f"group {_group(status.st_gid)}"
    if status.st_mode & stat.S_IWOTH:
        others["o"] = "everybody"
    return others


def _is_private_group(gid: int) -> bool:
    """Whether only this user and root are in a group: many systems give each user a group of the same name.

    The list of all users is not read: a directory service may have very many, or hide them. Other users with this
    primary group are found if they are local.
    """
    owners = []
    for uid in {0, os.geteuid()}:
        with suppress(KeyError):
            owners.append(pwd.getpwuid(uid))
    ours = {owner.pw_name for owner in owners}
    try:
        group = grp.getgrgid(gid)
    except KeyError:  # a volume in a container: members by number
        return ours.issuperset(_local_users_in(gid))
    is_own = any(owner.pw_gid == gid and owner.pw_name == group.gr_name for owner in owners)
    return is_own and ours.issuperset(group.gr_mem) and ours.issuperset(_local_users_in(gid))


def _local_users_in(gid: int) -> Iterator[str]:
    """The local users with this primary group."""
    with suppress(OSError), Path("/etc/passwd").open("rb") as file:
        for line in file:
            name, *rest = os.fsdecode(line).split(":")
            if len(rest) > 2 and rest[2] == str(gid):
                yield name


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
