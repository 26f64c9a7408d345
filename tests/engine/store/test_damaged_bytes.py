"""Stores with damaged bytes, cut, or with a cut write-ahead log: each is read, or refused in plain words."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from benchmarks.attack.calls import forked
from benchmarks.attack.mutations import OF_BYTES, cut, flipped, of_bytes
from engine import Engine
from engine.domain.errors import DbtendError, StoreError
from engine.domain.requests import Operation, Request
from engine.store.sqlite.connections import connect_writer, create_file
from tests.sqlite_files import make_database

COPIES = 60
"""In each batch, which is one process."""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with jobs, whose newest are in its log."""
    directory = tmp_path_factory.mktemp("origin")
    sales = make_database(directory / "sales.db", rows=20)

    async def make() -> int:
        async with Engine.open(directory / "jobs.db", workers=1) as engine:
            for operation in (Operation.ANALYZE, Operation.CHECK, Operation.VACUUM):
                (job,) = await engine.submit([Request(target=str(sales), operations=(operation,))])
                await engine.wait([job.id])
            for path in directory.glob("jobs.db*"):
                if path.is_file() and not path.name.endswith("-shm"):
                    shutil.copy(path, directory / path.name.replace("jobs", "kept"))
        return 0

    assert forked(lambda: asyncio.run(make())).err == ""
    return directory / "kept.db"


def damaged(origin: Path, directory: Path, dice: random.Random) -> tuple[Path, str]:
    store = directory / "jobs.db"
    for path in directory.glob("jobs.db*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copy(origin, store)
    log = store.with_name("jobs.db-wal")
    shutil.copy(origin.with_name("kept.db-wal"), log)
    store.with_name("jobs.db.d").mkdir(mode=0o700)
    if dice.random() < 0.4:
        return store, f"log: {dice.choice([of_bytes(cut), of_bytes(flipped)])(log, dice)}"
    if dice.random() < 0.5:
        log.unlink()
    return store, dice.choice(OF_BYTES)(store, dice)


async def read(store: Path, *, read_only: bool) -> None:
    async with Engine.open(store, read_only=read_only, timeout=0.1) as engine:
        for job in await engine.history():
            await engine.job(job.id)
        await engine.count()
        await engine.open_jobs()
        await engine.workers()
        await engine.overview()
        await engine.schedule_states()


async def batch(origin: Path, directory: Path, number: int) -> int:
    for copy in range(COPIES):
        for read_only in (True, False):
            store, how = damaged(origin, directory, random.Random(1_000 * number + copy))
            try:
                await read(store, read_only=read_only)
            except DbtendError:
                pass
            except Exception as error:
                print(f"{how}: {type(error).__name__}: {error}")
    return 0


@pytest.mark.parametrize("number", range(5))
def test_no_damage_is_an_internal_error(number: int, origin: Path, tmp_path: Path) -> None:
    done = forked(lambda: asyncio.run(batch(origin, tmp_path, number)))
    assert (done.code, done.out) == (0, ""), done.err


def test_a_store_cut_to_nothing_is_refused_and_not_begun_anew(origin: Path, tmp_path: Path) -> None:
    store, log = tmp_path / "jobs.db", tmp_path / "jobs.db-wal"
    shutil.copy(origin, store)
    asyncio.run(read(store, read_only=False))
    store.write_bytes(b"")
    log.write_bytes(b"what is left of it")
    for read_only in (True, False):
        with pytest.raises(StoreError, match="cut to 0 bytes"):
            asyncio.run(read(store, read_only=read_only))
    assert store.stat().st_size == 0
    assert log.exists()


def test_an_empty_file_becomes_a_store_where_dbtend_has_just_made_it(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    store.touch(0o600)
    with pytest.raises(StoreError, match="is an empty file"):
        connect_writer(create_file(store))
    store.unlink()
    assert create_file(store).stat().st_size == 0  # the process dies
    connect_writer(create_file(store)).close()
    assert store.stat().st_size
    store.write_bytes(b"")
    with pytest.raises(StoreError, match="is an empty file"):
        connect_writer(create_file(store))
