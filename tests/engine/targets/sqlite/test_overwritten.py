"""A file is copied over a database during an inspection: the inspection fails, and no process ends."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.errors import TargetError
from engine.domain.requests import Operation, Options, Request
from engine.inspection import inspector
from engine.targets import resolve
from engine.targets.sqlite.target import SqliteTarget
from tests.sqlite_files import make_database


async def _advise(path: str) -> None:
    await inspector.advise(path, TargetHistory(now=0), budget=None)


async def _plan(path: str) -> None:
    operations = tuple(o for o in SqliteTarget(path).operations if o is not Operation.BACKUP)
    await inspector.plan(Request(target=path, operations=operations, options=Options()))


async def _preflight(path: str) -> None:
    await resolve(path).preflight(lock_timeout=1, writing=True)


async def _inspect(path: str) -> None:
    await inspector.inspect(path)


LOOKS: dict[str, Callable[[str], Awaitable[None]]] = {
    "inspect": _inspect,
    "advise": _advise,
    "plan": _plan,
    "preflight": _preflight,
}


async def _again_and_again(path: str, do: Callable[[str], Awaitable[None]]) -> None:
    """Until nobody wants to know any more."""
    print("begun", flush=True)
    stop = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    while not stop.done():
        with suppress(TargetError):
            await do(path)


@pytest.mark.parametrize("kind", LOOKS)
def test_a_look_at_it_ends_no_process(tmp_path: Path, kind: str) -> None:
    large = make_database(tmp_path / "large.db", rows=20_000)
    small = make_database(tmp_path / "small.db", rows=10)
    path = tmp_path / "sales.db"
    shutil.copyfile(large, path)
    looking = [sys.executable, "-m", __name__, kind, str(path)]
    with subprocess.Popen(looking, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        for _ in range(50):
            for other in (small, large):
                subprocess.run(["cp", other, path], check=True)  # cuts the file, and writes it anew
        with suppress(BrokenPipeError):
            process.stdin.close()
        assert process.wait(timeout=60) == 0


async def test_what_looks_has_nothing_of_it_mapped(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", rows=20_000)
    target = resolve(str(path))
    async with target.look(lock_timeout=1) as looking, target.connect(lock_timeout=1, planning=True) as session:
        await looking.advise(TargetHistory(now=0), budget=None)
        await session.plan(Operation.CHECK, Options())
        assert str(path) not in Path("/proc/self/maps").read_text()


if __name__ == "__main__":
    asyncio.run(_again_and_again(sys.argv[2], LOOKS[sys.argv[1]]))
