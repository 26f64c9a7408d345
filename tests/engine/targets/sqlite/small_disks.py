"""Maintenance on disks that are too small: python -m tests.engine.targets.sqlite.small_disks, see `main`.

It runs in a process that has file systems of its own, which are gone with it.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine import Engine
from engine.domain.errors import DbtendError
from engine.domain.requests import Operation, Options, Request, SqliteLibrary
from tests.corpus.judge import State

ROOT: Final = Path(__file__).parents[4]
LITTLE_MEMORY: Final = "MemTotal: 64000 kB\nMemAvailable: 1000 kB\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an operation ended on a small disk, and what it left there."""

    operation: str
    forced: bool
    status: str
    """`refused` where not even a job was made of it."""
    reason: str | None
    said: str
    unharmed: bool
    """The content is the same, and nothing is to be complained of."""
    left: tuple[str, ...]
    """The files that are new beside the database."""


def can_mount() -> bool:
    """Whether a process may have file systems of its own here."""
    try:
        done = subprocess.run(in_a_world_of_its_own("mount -t tmpfs none /mnt"), capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def endings(
    directory: Path,
    template: Path,
    operations: Sequence[Operation],
    *,
    disk: int,
    temporary: int,
    in_memory: bool,
    library: SqliteLibrary = SqliteLibrary.SYSTEM,
) -> list[Ending]:
    """Each operation on a fresh copy of `template`, as it is and with force.

    `disk` is the size of the file system of the database, `temporary` that of temporary files, in bytes. Without
    `in_memory` there is not enough memory to keep temporary files there.
    """
    small, temp, memory = (directory / name for name in ("small", "temp", "meminfo"))
    small.mkdir()
    temp.mkdir()
    memory.write_text(LITTLE_MEMORY)
    program = [sys.executable, "-m", __name__, template, directory / "jobs.db", small, library, *operations]
    script = " && ".join(
        [
            f"mount -t tmpfs -o size={disk} none {shlex.quote(str(small))}",
            f"mount -t tmpfs -o size={temporary} none {shlex.quote(str(temp))}",
            *([] if in_memory else [f"mount --bind {shlex.quote(str(memory))} /proc/meminfo"]),
            f"cd {shlex.quote(str(ROOT))}",
            f"SQLITE_TMPDIR={shlex.quote(str(temp))} exec {shlex.join(map(str, program))}",
        ]
    )
    done = subprocess.run(in_a_world_of_its_own(script), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Ending(**{**ending, "left": tuple(ending["left"])}) for ending in json.loads(done.stdout)]


def in_a_world_of_its_own(script: str) -> list[str]:
    """The command of a shell that may mount what it likes, seen by nobody else."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", script]


async def _ending(
    engine: Engine, template: Path, directory: Path, operation: Operation, library: SqliteLibrary, *, forced: bool
) -> Ending:
    path = Path(shutil.copy(template, directory / "a.db"))
    before = State.of(path)
    options = Options(force=forced, lock_timeout=1, sqlite=library)
    request = Request(target=str(path), operations=(operation,), options=options)
    status, reason, said = "refused", None, ""
    try:
        (job,) = await engine.submit([request])
    except DbtendError as error:
        said = str(error)
    else:
        ((child,),) = [parent.children for parent in await engine.wait([job.id])]
        status, reason, said = child.status, child.reason, "\n".join([child.error or "", *child.warnings])
    after = State.of(path)
    left = tuple(sorted(file.name for file in directory.iterdir() if file != path))
    for file in directory.iterdir():
        file.unlink()
    return Ending(
        operation=operation,
        forced=forced,
        status=status,
        reason=reason,
        said=said,
        unharmed=not after.complaints and not before.lost_in(after, frozenset()),
        left=left,
    )


async def main(
    template: Path, store: Path, directory: Path, library: SqliteLibrary, operations: Sequence[Operation]
) -> None:
    """Print how each operation ended, as JSON."""
    async with Engine.open(store, workers=1) as engine:
        told = [
            asdict(await _ending(engine, template, directory, operation, library, forced=forced))
            for operation in operations
            for forced in (False, True)
        ]
    print(json.dumps(told))


if __name__ == "__main__":
    _, template_, store_, directory_, library_, *operations_ = sys.argv
    asked = [Operation(name) for name in operations_]
    asyncio.run(main(Path(template_), Path(store_), Path(directory_), SqliteLibrary(library_), asked))
