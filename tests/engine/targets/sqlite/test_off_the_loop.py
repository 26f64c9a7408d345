"""A disk may hang: file access runs in threads, so the console stays usable."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation, Options
from engine.targets.plans import OperationPlan
from engine.targets.sqlite.target import SqliteTarget
from tests.building import SQLITE_OPERATIONS
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import make_database


@pytest.fixture
def asked_on_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was asked of the disk with the databases in the thread of the test, which is that of the event loop."""
    loop, asked = threading.get_ident(), list[str]()

    def noting(name: str) -> Callable[..., Any]:
        ask = getattr(os, name)

        def noted(path: Any, *args: Any, **kwargs: Any) -> Any:
            ours = isinstance(path, str | os.PathLike) and str(path).startswith(str(tmp_path))
            if ours and threading.get_ident() == loop:
                where = [f"{Path(at.filename).name}:{at.lineno}" for at in traceback.extract_stack(limit=6)[:-1]]
                asked.append(f"{name} at {' > '.join(where)}")
            return ask(path, *args, **kwargs)

        return noted

    with monkeypatch.context() as patched:
        for name in ("stat", "lstat", "statvfs", "access", "scandir", "open"):
            patched.setattr(os, name, noting(name))
        yield asked


def database(tmp_path: Path, name: str) -> SqliteTarget:
    return SqliteTarget(str(make_database(tmp_path / name, rows=20, journal_mode="wal")))


@pytest.mark.parametrize("writing", [True, False])
async def test_connecting_asks_the_disk_in_a_thread(
    tmp_path: Path, asked_on_the_loop: list[str], *, writing: bool
) -> None:
    target = database(tmp_path, "a.db")
    asked_on_the_loop.clear()
    await target.preflight(lock_timeout=1, writing=writing)
    async with stepwise(target.connect(lock_timeout=1, writing=writing)) as session:
        await session.facts()
        await session.remarks([OperationPlan(operation=Operation.VACUUM)])
        await session.find_blockers(has_window=False)
    assert await target.identify()
    assert asked_on_the_loop == []


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_look_asks_the_disk_in_a_thread(
    tmp_path: Path, asked_on_the_loop: list[str], *, read_only: bool
) -> None:
    target = database(tmp_path, "a.db")
    asked_on_the_loop.clear()
    async with target.look(lock_timeout=1, read_only=read_only) as look:
        await look.info()
        await look.advise(TargetHistory(now=0), budget=3)
    assert asked_on_the_loop == []


@pytest.mark.parametrize("operation", SQLITE_OPERATIONS)
async def test_planning_asks_the_disk_in_a_thread(
    tmp_path: Path, asked_on_the_loop: list[str], operation: Operation
) -> None:
    target = database(tmp_path, "a.db")
    asked_on_the_loop.clear()
    async with stepwise(target.connect(lock_timeout=1)) as session:
        await session.plan(operation, Options())
    assert asked_on_the_loop == []
