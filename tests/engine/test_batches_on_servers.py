"""Batches on real servers: how many databases run at once, and the cost of a server that is down."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from engine import BatchOptions, Engine, JobOutcome, Operation, Reason, Request, Status
from engine.domain.events import Change
from tests.postgres_databases import Database, new_database
from tests.postgres_server import PostgresServer, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@pytest.fixture
def databases(postgres: PostgresServer) -> Iterator[list[Database]]:
    with ExitStack() as stack:
        yield [stack.enter_context(new_database(postgres)) for _ in range(6)]


def requests(urls: Sequence[str]) -> list[Request]:
    return [Request(target=url, operations=(Operation.ANALYZE,)) for url in urls]


@pytest.mark.parametrize("most", [1, 2])
async def test_no_more_databases_of_a_server_at_once_than_allowed(
    databases: Sequence[Database], tmp_path: Path, most: int
) -> None:
    assert 1 <= await most_at_once([it.url for it in databases], tmp_path, max_per_host=most) <= most


async def test_a_server_is_one_whatever_it_is_called(
    databases: Sequence[Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = databases[0].server
    (tmp_path / "link").symlink_to(server.base)
    service = tmp_path / "pg_service.conf"
    service.write_text(f"[prod]\nhost={server.base}\nport=5432\nuser=postgres\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    names = (
        "postgresql://postgres@:5432/{0}?host={1}",
        "postgresql://postgres@:5432/{0}?host={1}/link",
        "service=prod dbname={0}",
    )
    urls = [names[n % 3].format(it.name, server.base if n % 3 == 0 else tmp_path) for n, it in enumerate(databases)]
    assert await most_at_once(urls, tmp_path, max_per_host=1) == 1


async def most_at_once(urls: Sequence[str], directory: Path, *, max_per_host: int) -> int:
    """How many of these databases are analyzed at once by four workers, at most."""
    async with Engine.open(directory / "jobs.db", workers=4) as engine:
        changes, running, seen = engine.changes(), 0, 0
        jobs = await engine.submit(requests(urls), batch=BatchOptions(max_per_host=max_per_host))
        await engine.wait([job.id for job in jobs])
        async for change in changes:
            assert isinstance(change, Change)
            if change.job is None or change.job.ordinal is None:
                continue
            running += (change.new is Status.RUNNING) - (change.old is Status.RUNNING)
            seen = max(seen, running)
            if change.job.parent == jobs[-1].id and change.new is Status.COMPLETED:
                break
        assert (await engine.batch(1)).counts == {JobOutcome.COMPLETED: len(urls)}
    return seen


async def test_a_server_that_is_down_costs_only_its_own_databases(
    databases: Sequence[Database], tmp_path: Path, postgres: PostgresServer
) -> None:
    with running_server(postgres.binaries) as down:
        down.stop()
        urls = [databases[0].url, *[down.url(f"db{n}") for n in range(4)], databases[1].url]
        async with Engine.open(tmp_path / "jobs.db", workers=2) as engine:
            jobs = await engine.submit(requests(urls))
            ended = await engine.wait([job.id for job in jobs])
    assert [job.status for job in ended] == [Status.COMPLETED, *[Status.FAILED] * 4, Status.COMPLETED]
    assert {child.reason for job in ended[1:5] for child in job.children} == {Reason.UNREACHABLE}


async def test_two_names_of_one_database_on_a_server_are_one(databases: Sequence[Database], tmp_path: Path) -> None:
    dropped: list[str] = []
    other = f"{databases[0].url}&connect_timeout=9"
    async with Engine.open(tmp_path / "jobs.db") as engine:
        jobs = await engine.submit(
            requests([databases[0].url, other, databases[1].url]), on_dropped=lambda error: dropped.append(error.why)
        )
    assert len(jobs) == 2
    (why,) = dropped
    assert why.endswith(f" {jobs[0].target}")
