"""Backups by root in a directory of another user, who changes that meanwhile in every way that he can.

None of it may hand over, change, make or remove anything of root's, and what only root could read he must not read
afterwards either.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.attack.directories import attack_directory
from engine.domain.advice import TargetHistory
from engine.domain.errors import DbtendError
from engine.domain.past_runs import RecordedBackup
from engine.domain.requests import Operation, Options
from engine.domain.steps import Facts
from engine.targets import resolve
from engine.targets.sqlite.system import copying
from engine.targets.step_execution import StepContext

ATTACKER: Final = 65534
SECRET: Final = b"what only root may read"
PATIENCE: Final = 30.0
"""Seconds after which a backup hangs."""
TIDIED_EVERY: Final = 10
"""So many backups; in between only what dbtend removes is removed."""
EAGER: Final = 20
"""So many tricks at once."""
REST: Final = 0.2
"""The most seconds between them."""
PLANTED: Final = "app.backup-2026-01-01.db.00000000.unfinished"


def attack(count: int, seed: int) -> list[str]:
    """Raises PermissionError where this is not root, who alone can be attacked so."""
    if os.geteuid():
        raise PermissionError("only root can be attacked so")
    with attack_directory() as directory:
        base = Path(directory)
        base.chmod(0o755)
        treasure, place = _made(base)
        before = _state_of(treasure)
        found: list[str] = []
        recorded: list[RecordedBackup] = []
        opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        with _attacked(place, treasure, seed):
            for number in range(count):
                found += _backup(place / "app.db", recorded)
                if number % TIDIED_EVERY == 0:
                    _tidy(opened)
                if (now := _state_of(treasure)) != before:
                    found.append(f"root's own directory was {before}, and is {now}")
                    break
        os.close(opened)
        return found + _readable(base)


def _made(base: Path) -> tuple[Path, Path]:
    """What is root's, and the directory of the attacker with a database that only root may read."""
    treasure, owned = base / "treasure", base / "owned"
    treasure.mkdir(0o700)
    backup = copying.free_name("app.db", str(treasure), datetime.now(UTC).date())
    for name in ("secret", "copy", "copy-journal", "lock", Path(backup).name):
        (treasure / name).write_bytes(SECRET)
        (treasure / name).chmod(0o600)
    (treasure / "empty").touch(0o600)
    place = owned / "place"
    place.mkdir(parents=True)
    with closing(sqlite3.connect(place / "app.db")) as db:
        db.execute("CREATE TABLE t(a)")
        db.executemany("INSERT INTO t VALUES (?)", [(SECRET.decode() * 50,)] * 500)
        db.commit()
    (place / "app.db").chmod(0o600)
    for directory in (owned, place):
        os.chown(directory, ATTACKER, ATTACKER)
    return treasure, place


def _backup(path: Path, recorded: list[RecordedBackup]) -> list[str]:
    """Back up, and remove the earlier backups that are `recorded`. The new one is added to them."""
    context = StepContext(store_results=_stored, maintained_files=_no_targets)

    async def backup() -> None:
        past = TargetHistory(now=0, backups=tuple(reversed(recorded)), maintained_files=frozenset())
        async with asyncio.timeout(PATIENCE):
            async with resolve(str(path)).connect(lock_timeout=0, writing=False) as session:
                planned = await session.plan(Operation.BACKUP, Options(keep=1), past)
                for step in planned.plan.steps:
                    effect = (await planned.execute(step, context)).effect or {}
                    if "backup" in effect:
                        recorded.append(_recorded(effect, len(recorded)))

    try:
        asyncio.run(backup())
    except DbtendError:
        pass  # the attacker may keep a backup from being made
    except TimeoutError:
        return [f"a backup hangs for {PATIENCE:.0f} s"]
    except Exception as error:
        return [f"a backup ends with {error!r}"]
    return []


def _tidy(place: int) -> None:
    """By a descriptor: the attacker may have another directory at the path."""
    for name in os.listdir(place):
        if name.startswith("app.backup-") and not name.endswith(".unfinished"):
            with suppress(OSError):
                os.unlink(name, dir_fd=place)


async def _stored() -> bool:
    return True


async def _no_targets() -> frozenset[str]:
    return frozenset()


def _recorded(effect: Facts, at: int) -> RecordedBackup:
    return RecordedBackup(
        path=str(effect["backup"]),
        size=int(str(effect["backup_size"])),
        identity=str(effect["backup_file"]),
        source=str(effect["backup_source"]),
        is_checked=bool(effect["backup_checked"]),
        started_at=at,
        finished_at=at,
    )


def _state_of(directory: Path) -> Mapping[str, tuple[bytes, int, int, int]]:
    return {
        entry.name: (entry.read_bytes(), (status := entry.stat()).st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        for entry in [*directory.iterdir()]
    }


def _readable(base: Path) -> list[str]:
    """Files with the secret that the attacker can read."""
    found = []
    for root, _, names in os.walk(base):
        for path in (Path(root, name) for name in names):
            status = path.lstat()
            open_to_him = status.st_uid == ATTACKER or status.st_mode & 0o077
            if stat.S_ISREG(status.st_mode) and open_to_him and SECRET in path.read_bytes():
                found.append(f"others can read {path}")
    return found


@contextmanager
def _attacked(place: Path, treasure: Path, seed: int) -> Iterator[None]:
    """The attacker is at work meanwhile, in a process of his own."""
    process = os.fork()
    if process == 0:
        with suppress(BaseException):
            os.setgroups([])
            os.setgid(ATTACKER)
            os.setuid(ATTACKER)
            os.umask(0)
            dice = random.Random(seed)
            while os.getppid() != 1:
                for _ in range(EAGER):
                    with suppress(OSError):
                        _trick(place, treasure, dice)
                time.sleep(dice.random() * REST)  # so that some backups come to their end
        os._exit(0)
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        _put_back(place)


def _trick(place: Path, treasure: Path, dice: random.Random) -> None:
    """Whatever is new in the directory is another thing now; sometimes it is the directory itself."""
    if dice.random() < 0.02:
        _with_another_directory(place, treasure)
    if dice.random() < 0.02:
        _plant(place / PLANTED, treasure, dice)
    for entry in [*os.scandir(place)]:
        if entry.name in {"app.db", PLANTED}:
            continue
        if entry.name.startswith("away-"):
            _forget(Path(entry.path), dice)
            continue
        away = place / f"away-{dice.randrange(10**9)}"
        if entry.is_dir(follow_symlinks=False):
            Path(entry.path).rename(away)
            if dice.random() < 0.5:
                Path(entry.path).symlink_to(treasure)
            else:
                Path(entry.path).mkdir(0o777)
                _plant_copy(Path(entry.path, "copy"), treasure, dice)
        elif not entry.is_symlink():
            Path(entry.path).rename(away)
            _plant_copy(Path(entry.path), treasure, dice)


def _forget(away: Path, dice: random.Random) -> None:
    """Not at once: somebody may be about to use it."""
    if dice.random() < 0.1 and not away.is_dir():
        away.unlink()


def _plant(planted: Path, treasure: Path, dice: random.Random) -> None:
    """Something that looks as if a killed backup had left it."""
    with suppress(OSError):
        planted.unlink()
    if dice.random() < 0.5:
        planted.symlink_to(treasure)
        return
    with suppress(FileExistsError):
        planted.mkdir(0o777)
    with suppress(FileExistsError):
        os.mkfifo(planted / "lock", 0o666)


def _plant_copy(copy: Path, treasure: Path, dice: random.Random) -> None:
    match dice.randrange(3):
        case 0:
            copy.symlink_to(treasure / dice.choice(("secret", "empty", "new")))
        case 1:
            copy.touch(0o666)
        case _:
            with suppress(OSError):
                os.link(treasure / "secret", copy)


def _with_another_directory(place: Path, treasure: Path) -> None:
    away = place.with_name("elsewhere")
    place.rename(away)
    try:
        place.symlink_to(treasure)
    finally:
        with suppress(OSError):
            place.unlink()
        away.rename(place)


def _put_back(place: Path) -> None:
    if place.is_symlink():
        place.unlink()
    if (away := place.with_name("elsewhere")).exists():
        away.rename(place)
