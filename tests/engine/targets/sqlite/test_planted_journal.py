"""A journal that another user puts beside a database to make SQLite remove a file: dbtend refuses."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.errors import TargetRefusedError, TargetUnavailableError
from engine.domain.requests import Operation, Options, Request
from engine.inspection import inspector
from engine.targets import resolve
from tests.engine.targets.sqlite.a_session import run
from tests.sqlite_files import content, make_database

MAGIC = bytes.fromhex("d9d505f920a163d7")
SECTOR, PAGE, NONCE = 512, 4096, 12345


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def plant(path: Path, named: Path | None) -> Path:
    """A journal that SQLite takes for that of a crash: it holds the first page, and names a file."""
    first = path.read_bytes()[:PAGE]
    header = MAGIC + b"".join(map(number, (1, NONCE, path.stat().st_size // PAGE, SECTOR, PAGE)))
    checksum = NONCE + sum(first[place] for place in range(PAGE - 200, 0, -200))
    record = number(1) + first + number(checksum)
    end = b""
    if named is not None:
        name = os.fsencode(named)
        end = number(0x40000000 // PAGE + 1) + name + number(len(name)) + number(sum(name)) + MAGIC
    journal = Path(f"{path}-journal")
    journal.write_bytes(header.ljust(SECTOR, b"\0") + record + end)
    return journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db", rows=50)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    victim = tmp_path / "elsewhere" / "precious"
    victim.parent.mkdir()
    victim.write_text("precious\n")
    return victim


def test_sqlite_removes_what_a_journal_names(path: Path, victim: Path) -> None:
    plant(path, victim)
    with closing(sqlite3.connect(path)) as db:
        db.execute("SELECT * FROM sqlite_schema").fetchall()
    assert not victim.exists()


async def _inspect(path: Path) -> object:
    return await inspector.inspect(str(path))


async def _advise(path: Path) -> object:
    return await inspector.advise(str(path), TargetHistory(now=0), budget=1)


async def _plan(path: Path) -> object:
    return await inspector.plan(Request(target=str(path), operations=(Operation.VACUUM,), options=Options()))


async def _preflight(path: Path) -> object:
    await resolve(str(path)).preflight(lock_timeout=1, writing=True)
    return None


async def _vacuum(path: Path) -> object:
    return await run(path, Operation.VACUUM)


async def _check(path: Path) -> object:
    return await run(path, Operation.CHECK)


DOES = pytest.mark.parametrize("do", [_inspect, _advise, _plan, _preflight, _vacuum, _check])
Does = Callable[[Path], Awaitable[object]]


@DOES
async def test_a_database_with_such_a_journal_is_refused(path: Path, victim: Path, do: Does) -> None:
    journal = plant(path, victim)
    with pytest.raises(TargetRefusedError) as refused:
        await do(path)
    assert f"remove {victim} " in refused.value.why
    assert f" {journal}, and remove" in refused.value.hint
    assert (victim.exists(), journal.exists()) == (True, True)


@DOES
@pytest.mark.parametrize("end", ["-journal", "-wal", "-shm"])
async def test_a_pipe_in_the_place_of_a_journal_holds_nobody_up(path: Path, do: Does, end: str) -> None:
    pipe = Path(f"{path}{end}")
    os.mkfifo(pipe)
    with pytest.raises(TargetUnavailableError, match=f"{pipe} is not "):
        await do(path)


@pytest.mark.parametrize("do", [_plan, _preflight, _vacuum, _check])
async def test_the_journal_of_a_transaction_on_several_databases_is_rolled_back(path: Path, do: Does) -> None:
    before, super_journal = content(path), path.with_name("other.db-mjA1B2C39D4")
    super_journal.write_bytes(os.fsencode(f"{path}-journal") + b"\0")
    journal = plant(path, super_journal)
    await do(path)
    if do is not _preflight:  # which leaves it to a job
        assert not journal.exists()
    assert content(path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts in directories of others")
@pytest.mark.parametrize("do", [_inspect, _advise, _plan, _check])
async def test_a_look_by_root_in_a_directory_of_somebody_else_obeys_no_journal(path: Path, do: Does) -> None:
    """Also one that is put there after it was looked for."""
    os.chown(path.parent, 65534, 65534)
    journal, before = plant(path, None), path.read_bytes()
    with pytest.raises(TargetRefusedError) as refused:
        await do(path)
    assert "must be rolled back first" in refused.value.why
    assert "as the owner" in refused.value.hint
    assert (path.read_bytes(), journal.exists()) == (before, True)
