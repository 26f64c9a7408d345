"""A journal or log beside a file that was overwritten during a job: named, and not applied to the new file."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from engine.domain.engines import EngineName
from engine.domain.errors import TargetRefusedError
from engine.domain.requests import OnDuplicate, Operation, Request
from engine.history import stale_journal
from engine.store.protocol import NewJob
from engine.targets import resolve
from tests.sqlite_files import make_database

if TYPE_CHECKING:
    from pathlib import Path

    from engine.store.sqlite.store import SqliteStore


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db")


async def killed(store: SqliteStore, path: Path, number: int) -> str:
    target = resolve(str(path))
    request = Request(target=target.url, operations=(Operation.REINDEX,))
    await store.submit([NewJob(request=request, engine=EngineName.SQLITE, target_key="it")], OnDuplicate.REFUSE)
    await store.claim("dead")
    await store._rescue_from("dead", number)
    return target.url


@pytest.mark.parametrize("end", ["-journal", "-wal"])
async def test_what_nobody_has_written_since_is_refused(store: SqliteStore, sales: Path, end: str) -> None:
    beside = sales.with_name(f"{sales.name}{end}")
    beside.write_bytes(b"x" * 512)
    os.utime(beside, ns=(1_000, 1_000))
    url = await killed(store, sales, signal.SIGBUS)
    (child,) = (await store.job(1)).children
    assert f"remove {beside.name} before" in (child.error or "")
    assert [(attempt.number, attempt.signal) for attempt in child.attempts] == [(1, signal.SIGBUS)]
    with pytest.raises(TargetRefusedError, match=f"{end} of the old one "):
        await stale_journal.refuse_stale_journal(store, url)
    os.utime(beside)  # a program has opened it since, and goes on
    await stale_journal.refuse_stale_journal(store, url)
    beside.unlink()
    await stale_journal.refuse_stale_journal(store, url)


async def test_without_one_a_good_copy_is_all_that_is_needed(store: SqliteStore, sales: Path) -> None:
    sales.with_name(f"{sales.name}-journal").touch()
    url = await killed(store, sales, signal.SIGBUS)
    (child,) = (await store.job(1)).children
    assert (child.error or "").endswith("has it open")
    await stale_journal.refuse_stale_journal(store, url)


async def test_what_another_death_left_is_rolled_back_as_ever(store: SqliteStore, sales: Path) -> None:
    sales.with_name(f"{sales.name}-journal").write_bytes(b"x" * 512)
    await stale_journal.refuse_stale_journal(store, await killed(store, sales, signal.SIGKILL))
