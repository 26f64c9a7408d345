"""Logins with roles of a shared store call its functions and change its objects at random, as its enemies.

None becomes superuser, gets another right, or ends what a live worker runs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import psycopg

from engine.domain.claims import Report
from engine.domain.errors import DbtendError
from engine.domain.requests import OnDuplicate, Operation
from engine.store.postgres import administration
from engine.store.postgres.roles import Role
from engine.store.postgres.store import PostgresStore
from tests.building import COMPLETED, new_job
from tests.postgres_databases import as_admin
from tests.postgres_server import running_server, servers_found

_FUNCTIONS: Final = """SELECT p.oid::regproc::text, array(SELECT format_type(t, NULL) FROM unnest(proargtypes) AS t)
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace WHERE nspname = 'dbtend'"""
_OBJECTS: Final = """SELECT oid::regclass::text FROM pg_class
WHERE relnamespace = 'dbtend'::regnamespace AND relkind IN ('r', 'v', 'S')"""
_CHANGES: Final = (
    "CREATE TRIGGER aha BEFORE INSERT OR UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION lair.take_over()",
    "CREATE TRIGGER aha AFTER INSERT ON {0} FOR EACH STATEMENT EXECUTE FUNCTION lair.take_over()",
    "CREATE RULE aha AS ON INSERT TO {0} DO ALSO SELECT lair.take_over_now()",
    "CREATE POLICY aha ON {0} USING (lair.take_over_now())", "CREATE INDEX ON {0} ((lair.take_over_now()))",
    "ALTER TABLE {0} ADD CHECK (lair.take_over_now())", "ALTER TABLE {0} OWNER TO CURRENT_USER",
    "GRANT ALL ON {0} TO PUBLIC", "DELETE FROM {0}", "TRUNCATE {0} CASCADE", "DROP TABLE {0} CASCADE",
    "CREATE TEMPORARY TABLE {1} (LIKE {0})", "CREATE OR REPLACE VIEW {0} AS SELECT lair.take_over_now()",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA dbtend GRANT ALL ON TABLES TO PUBLIC", "SET ROLE postgres",
    "CREATE FUNCTION dbtend.now_micros(int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "SET search_path = lair, pg_temp",
    "CREATE TABLE lair.{1} AS SELECT 1", "GRANT dbtend_worker TO PUBLIC", "SET dbtend.grace = '-1'",
    "CREATE OPERATOR lair.= (FUNCTION = lair.same, LEFTARG = text, RIGHTARG = text)", "LOCK TABLE {0} NOWAIT",
)  # fmt: skip
_LAIR: Final = """CREATE FUNCTION lair.take_over() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN ALTER ROLE attacker SUPERUSER; RETURN NEW; END $$;
CREATE FUNCTION lair.take_over_now() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN ALTER ROLE attacker SUPERUSER; RETURN true; END $$;
CREATE FUNCTION lair.same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT lair.take_over_now()'"""
EACH: Final = 100
"""Attempts against one store."""


def attack(count: int, seed: int) -> Iterator[str]:
    """`count`: statements."""
    found = servers_found()
    if not found:
        print("  not done: there is no PostgreSQL server", flush=True)
        return
    with running_server(found[max(found)]) as server:
        for number, begun in enumerate(range(0, count, EACH)):
            name = f"attacked{number}"
            with as_admin(server.url()) as admin:
                admin.execute(f"CREATE DATABASE {name}")
            statements = min(EACH, count - begun)
            findings = asyncio.run(_all(_attack_store(server.url(name), random.Random(seed + number), statements)))
            yield from (f"seed {seed + number}: {finding}" for finding in findings)


async def _all(findings: AsyncIterator[str]) -> list[str]:
    return [finding async for finding in findings]


async def _attack_store(url: str, rng: random.Random, statements: int) -> AsyncIterator[str]:
    await administration.init(url)
    role = rng.choice([Role.VIEWER, Role.OPERATOR, Role.WORKER])
    with as_admin(url) as admin:
        admin.execute("DROP ROLE IF EXISTS attacker")
        admin.execute(f"CREATE ROLE attacker LOGIN IN ROLE {role}")
        admin.execute("CREATE SCHEMA lair AUTHORIZATION attacker")
        functions = admin.execute(_FUNCTIONS).fetchall()
        objects = [one for (one,) in admin.execute(_OBJECTS).fetchall()]
        async with PostgresStore.open(url, what="the store") as store:
            await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
            async with store.hosting_workers() as owner:
                claim = await store.claim(owner)
                assert claim is not None
                words = [owner, "sales", "any", "", "attacker@desk as postgres", "{}", "[]"]
                done = await asyncio.to_thread(
                    _attempts, url.replace("//postgres@", "//attacker@"), rng, functions, objects, words, statements
                )
                if not any(process.alive and process.id == owner for process in await store.workers()):
                    yield f"{role} removed a live worker: {done[-20:]}"
                with suppress(DbtendError):  # a worker may end what it owns by name: that is no rescue
                    await store.finish(claim, COMPLETED, Report())
                await store.submit(
                    [new_job("stock")], OnDuplicate.ADD
                )  # the owner gives a hint, and runs what was planted
        rescued = admin.execute("SELECT count(*) FROM dbtend.attempt WHERE reason = 'owner_lost'").fetchone()
        if rescued != (0,):
            yield f"{role} declared a live worker dead: {done[-20:]}"
        if admin.execute("SELECT FROM pg_roles WHERE rolname = 'attacker' AND rolsuper").fetchone() is not None:
            yield f"{role} became superuser: {done[-20:]}"
        for foreign in (await administration.check(url)).foreign:
            yield f"{role} left {foreign.kind} {foreign.text}"
        admin.execute("DROP OWNED BY attacker CASCADE")
        admin.execute("DROP ROLE attacker")


def _attempts(
    url: str,
    rng: random.Random,
    functions: Sequence[tuple[str, Sequence[str]]],
    objects: Sequence[str],
    words: Sequence[str],
    statements: int,
) -> list[str]:
    done: list[str] = []
    with psycopg.connect(url, autocommit=True, options="-c lock_timeout=500ms -c statement_timeout=5s") as attacker:
        attacker.execute(_LAIR)
        for _ in range(statements):
            if rng.random() < 0.5:
                name, types = rng.choice(functions)
                statement = f"SELECT {name}({', '.join(_value(kind, words, rng) for kind in types)})"
            else:
                table = rng.choice(objects)
                statement = rng.choice(_CHANGES).format(table, table.rpartition(".")[2])
            done.append(statement)
            with suppress(psycopg.Error):
                attacker.execute(statement.encode())
    return done


def _value(kind: str, words: Sequence[str], rng: random.Random) -> str:
    value: Any
    match kind:
        case "text" | "character varying":
            value = rng.choice(words)
        case "jsonb":
            value = rng.choice(["{}", "[]", f'{{"parent": 1, "ordinal": 1, "attempt": 9, "owner": "{words[0]}"}}'])
        case "boolean":
            value = rng.choice(["true", "false"])
        case "text[]" | "character varying[]":
            value = f"{{{words[0]},any}}"
        case _:
            value = rng.choice(["1", "0", "-1", "99999999"]) if "[]" not in kind else "{1}"
    return "NULL" if rng.random() < 0.2 else f"'{value}'::{kind}"
