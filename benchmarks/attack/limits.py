"""Little of everything: descriptors, memory, processes, disk; no home, no standard streams, no rights."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.attack.calls import called, faults
from benchmarks.attack.directories import attack_directory
from tests.sqlite_files import make_database

COMMANDS: Final = (
    "history", "history --json", "doctor", "doctor --json", "plan {sales}", "advise {sales}", "pause", "resume",
    "run {sales} --op analyze", "run {sales} --op check --json", "run {sales} --op backup", "workers", "show 1",
    "worker --idle-exit 0.1", "prune", "history --read-only", "demo", "run {sales} --op analyze --detach", "cancel 1",
)  # fmt: skip
MB: Final = 1024 * 1024


def attack(count: int, seed: int, commands: Sequence[str] = COMMANDS) -> Iterator[str]:
    dice = random.Random(seed)
    with attack_directory() as directory:
        home = Path(directory)
        home.chmod(0o755)
        sales = make_database(home / "sales.db", rows=200)
        called(["run", str(sales), "--op", "vacuum"], home)
        origin = (home / "jobs.db").read_bytes()
        for _ in range(count):
            for path in home.glob("jobs.db*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            (home / "jobs.db").write_bytes(origin)
            (home / "jobs.db").chmod(0o600)
            name, limit = dice.choice(LIMITS)
            argv = dice.choice(commands).format(sales=sales).split()
            said = called(argv, home, lambda limit=limit: limit(dice))  # type: ignore[misc]
            yield from (f"{name}: {fault}" for fault in faults(argv, said))


def _limited(kind: int, *amounts: int) -> Callable[[random.Random], None]:
    def limit(dice: random.Random) -> None:
        amount = dice.choice(amounts)
        resource.setrlimit(kind, (amount, amount))

    return limit


def _address_space(dice: random.Random) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    more = dice.choice((1, 4, 16, 64)) * MB
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more,) * 2)


def _without(*names: str) -> Callable[[random.Random], None]:
    def limit(_: random.Random) -> None:
        for name in names:
            os.environ.pop(name, None)

    return limit


def _closed(*descriptors: int) -> Callable[[random.Random], None]:
    def limit(_: random.Random) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
            setattr(sys, ("stdin", "stdout", "stderr")[descriptor], None)  # as Python itself does

    return limit


def _full(_: random.Random) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def _elsewhere(_: random.Random) -> None:
    gone = tempfile.mkdtemp()
    os.chdir(gone)
    os.rmdir(gone)  # noqa: PTH106


def _plain_letters(_: random.Random) -> None:
    os.environ.update({"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"})


LIMITS: Final[Sequence[tuple[str, Callable[[random.Random], None]]]] = (
    ("descriptors", _limited(resource.RLIMIT_NOFILE, 4, 6, 8, 10, 12, 16, 20, 24)),
    ("memory", _address_space),
    ("file size", _limited(resource.RLIMIT_FSIZE, 16_384, 65_536)),
    ("stack", _limited(resource.RLIMIT_STACK, 256 * 1024)),
    ("no home", _without("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "DBTEND_STORE")),
    ("no stdin", _closed(0)),
    ("no stdout", _closed(1)),
    ("no stderr", _closed(2)),
    ("no streams", _closed(0, 1, 2)),
    ("full output", _full),
    ("no directory", _elsewhere),
    ("C", _plain_letters),
)  # fmt: skip
