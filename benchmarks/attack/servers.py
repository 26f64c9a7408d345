"""Servers that at random answers are no PostgreSQL: each look ends in time, in a sentence, in little memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from engine.domain.advice import TargetHistory
from engine.domain.errors import DbtendError
from engine.domain.requests import Operation, Request
from engine.inspection import inspector
from engine.targets import resolve
from engine.targets.postgres.connection import connecting
from engine.targets.postgres.connection.bounded import MOST_MEMORY, taken
from tests.hostile_server import AT_LOGIN, HOW, hostile_server
from tests.postgres_databases import new_database
from tests.postgres_server import PostgresServer, servers_found

ENDS_WITHIN: Final = 120.0
LAST_ANSWER: Final = 25
LOOKS: Final[dict[str, Callable[[str], Awaitable[Any]]]] = {
    "identify": lambda url: resolve(url).identify(),
    "inspect": inspector.inspect,
    "advise": lambda url: inspector.advise(url, TargetHistory(now=0), budget=1),
    "advise thoroughly": lambda url: inspector.advise(url, TargetHistory(now=0), budget=None),
    "plan": lambda url: inspector.plan(Request(target=url, operations=tuple(resolve(url).default_operations))),
    "plan what is needed": lambda url: inspector.plan(Request(target=url, operations=(Operation.OPTIMIZE,))),
}


def attack(count: int, seed: int) -> Iterator[str]:
    """A server for each look; nobody waits a minute for an answer."""
    for name in ("CONNECTED_WITHIN", "ANSWER_WITHIN"):
        setattr(connecting, name, 2.0)
    rng, found = random.Random(seed), servers_found()
    server = PostgresServer(found[max(found)])
    try:
        server.start()
        with new_database(server) as database:
            database("CREATE TABLE item AS SELECT n AS id, 'x' AS t FROM generate_series(1, 1000) AS n")
            database("CREATE INDEX item_id ON item (id)", "CREATE EXTENSION IF NOT EXISTS pgstattuple", "ANALYZE item")
            for number in range(count):
                how, what = rng.choice(sorted(HOW)), rng.choice(sorted(LOOKS))
                since = 0 if how in AT_LOGIN else rng.randrange(LAST_ANSWER)
                with hostile_server(database, how, since, seed + number) as url:
                    if finding := asyncio.run(_finding(lambda url=url, what=what: LOOKS[what](url))):  # type: ignore[misc]
                        yield f"{what}, {how} from answer {since}, seed {seed + number}: {finding}"
    finally:
        server.discard()


async def _finding(look_at: Callable[[], Awaitable[Any]]) -> str:
    """What is wrong with how it ended; "" for nothing."""
    before = taken()
    looking = asyncio.ensure_future(look_at())
    give_up = asyncio.get_running_loop().time() + ENDS_WITHIN
    while not looking.done():
        await asyncio.wait({looking}, timeout=0.01)
        if taken() - before > 2 * MOST_MEMORY:
            looking.cancel()
            return f"{(taken() - before) // 1024**2} MB"
        if asyncio.get_running_loop().time() > give_up:
            looking.cancel()
            return "no end"
    error = looking.exception()
    if error is None:
        return ""
    if not isinstance(error, DbtendError):
        return f"{type(error).__name__}: {error}"
    said = str(error)
    if not said.isprintable() or len(said) > 2000 or "makes no sense" in said:
        return repr(said[:300])
    return ""
