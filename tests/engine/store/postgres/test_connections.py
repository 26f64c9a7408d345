"""Several questions in one round trip."""

from __future__ import annotations

from collections.abc import Awaitable
from itertools import groupby
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from engine.domain.errors import StoreError, StoreFullError
from engine.domain.events import HistoryFilter
from engine.domain.requests import OnDuplicate, Operation
from engine.store.postgres.connections import answers, connected, store_error
from engine.store.postgres.queries import has_namesake
from engine.store.postgres.schema import require_current, require_usable
from engine.store.postgres.store import PostgresStore
from tests.building import new_job
from tests.postgres_databases import Database
from tests.postgres_server import PostgresServer
from tests.slow_lines import slow_line


async def test_statements_that_go_together_are_all_sent_before_the_first_answer(
    database: Database, tmp_path: Path
) -> None:
    async with connected(database.url, "the store", "test") as connection:
        with (tmp_path / "trace").open("w") as trace:
            connection.pgconn.trace(trace.fileno())
            connection.pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
            ((one,),), ((two,),), none = await answers(
                connection, ("SELECT 1", None), ("SELECT 2", None), ("SELECT 3 WHERE false", None)
            )
            connection.pgconn.untrace()
    assert (one, two, none) == (1, 2, [])
    messages = (tmp_path / "trace").read_text().splitlines()
    assert [sender for sender, _ in groupby(message[0] for message in messages)] == ["F", "B"]


async def test_a_store_is_known_in_two_round_trips_and_usable_in_four(
    postgres: PostgresServer, store_url: str, tmp_path: Path
) -> None:
    async with slow_line(postgres.base / ".s.PGSQL.5432", tmp_path, delay=0) as line:
        far = f"{store_url.partition('?')[0]}?host={tmp_path}"
        async with connected(far, "the store", "test") as connection:
            await require_current(connection, "the store", has_namesake("h1", "its machine"))
            assert line.round_trips == [2]  # one to connect
            await require_usable(connection, "the store")
            assert line.round_trips == [4]  # a pooler is looked for three times


async def test_what_is_read_first_takes_few_round_trips(
    postgres: PostgresServer, store_url: str, tmp_path: Path
) -> None:
    async with PostgresStore.open(store_url, what="the store") as near:
        (job,) = await near.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with slow_line(postgres.base / ".s.PGSQL.5432", tmp_path, delay=0) as line:
        far = f"{store_url.partition('?')[0]}?host={tmp_path}"
        async with PostgresStore.open(far, what="the store", size=1) as store:
            await store.rescue()  # the one connection is there
            one = line.round_trips.index(min(line.round_trips))

            async def taken(read: Awaitable[object]) -> int:
                before = line.round_trips[one]
                await read
                return line.round_trips[one] - before

            assert await taken(store.rescue()) == 1
            assert await taken(store.workers()) == 1
            assert await taken(store.history(HistoryFilter(), before=None, limit=9)) == 2
            assert [found.id for found in await store.history(HistoryFilter(), before=None, limit=9)] == [job]


async def test_of_statements_that_go_together_one_that_fails_is_told(database: Database) -> None:
    async with connected(database.url, "the store", "test") as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await answers(connection, ("SELECT 1", None), ("SELECT a FROM public.none", None), ("SELECT 2", None))
        assert await answers(connection, ("SELECT 3", None)) == [[(3,)]]


async def test_what_is_read_before_the_store_is_known_fails_with_what_is_wrong_there(database: Database) -> None:
    async with PostgresStore.open(database.url, what="the store", early=True) as store:
        with pytest.raises(StoreError, match="holds no store of dbtend"):
            await store.open_jobs()


def test_a_server_without_room_is_told_in_words_and_no_file_of_it_is_named() -> None:
    full = psycopg.errors.DiskFull('could not extend file "base/1/2": No space left on device')
    error = store_error("the store", full)
    assert isinstance(error, StoreFullError)
    assert str(error) == "the store: the disk of its server is full (make room there)"
