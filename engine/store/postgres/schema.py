"""The shape of the shared store in PostgreSQL: migrations, and the functions that are its writes.

To change a table, add the next `migrations/NNN_name.sql`. Every migration ends by creating all functions again, and the
rules made from the vocabulary in engine/domain. Before the first release change the one file instead, and raise
FIRST_VERSION.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from engine.domain.errors import StoreError
from engine.domain.requests import Operation
from engine.domain.schedules import FiringReason, FiringStatus
from engine.domain.statuses import CHILD_TRANSITIONS, PARENT_TRANSITIONS, Reason
from engine.store.ending_texts import PHRASES
from engine.store.postgres import roles
from engine.store.postgres.connections import Question, answers, store_error
from engine.store.postgres.server_checks import refuse_unusable, usable_answers

SCHEMA: Final = "dbtend"
FIRST_VERSION: Final = 103
"""That of the first file. Stores of a lower one, made before the first release, are refused."""
_CLASS: Final = 0x6474656E
"""The first half of all advisory locks: "dten"."""
LOCKS: Final[Mapping[str, str]] = {
    "WORKERS": str(_CLASS),
    "HOSTS": str(_CLASS + 1),
    "GATE": f"{_CLASS + 2}, 0",
    "SUBMITS": f"{_CLASS + 3}, 0",
    "MIGRATE": f"{_CLASS + 4}, 0",
    "ROLES": str(_CLASS + 5),
    "EVENTS": f"{_CLASS + 6}, 0",
    "CLAIMS": str(_CLASS + 7),
    "TARGETS": str(_CLASS + 8),
    "LISTENERS": f"{_CLASS + 9}, 0",
}
GRACE: Final = 10
"""Seconds after a start of the server in which no process is declared dead."""
MEASURED_KEPT: Final = 365 * 86_400 * 1_000_000
"""Microseconds."""
HINT: Final = "give the URL of a database of its own, or of a store of dbtend"

_SCHEMAS: Final = """SELECT
    to_regclass('dbtend.store_version') IS NOT NULL AND to_regclass('dbtend.child_job') IS NOT NULL,
    to_regnamespace('dbtend') IS NOT NULL"""
_VERSION: Final = "SELECT number FROM dbtend.store_version"
_MAY_CREATE: Final = """SELECT quote_ident(current_user), quote_ident(current_database()),
    has_database_privilege(current_database(), 'CREATE')"""
_OWNER: Final = """SELECT current_user::text, pg_get_userbyid(nspowner)::text, pg_has_role(nspowner, 'USAGE')
FROM pg_namespace WHERE nspname = 'dbtend'"""
_STALE_FUNCTIONS: Final = """SELECT oid::regprocedure::text FROM pg_proc
WHERE pronamespace = 'dbtend'::regnamespace AND xmin <> pg_current_xact_id()::xid"""
"""Functions of an older version with other parameters: no file has made them again."""

Connection = psycopg.AsyncConnection[Any]


@cache
def migrations() -> Sequence[str]:
    """The SQL of every migration, in order, from that of the first version on."""
    return scripts("migrations")


def newest_version() -> int:
    return FIRST_VERSION + len(migrations()) - 1


def scripts(directory: str) -> Sequence[str]:
    files = sorted((Path(__file__).parent / directory).glob("*.sql"))
    return [file.read_text(encoding="utf-8") for file in files]


async def require_current(
    connection: Connection, what: str, *more: Question
) -> tuple[frozenset[roles.Role], list[list[TupleRow]]]:
    """What this user may do there, and what more statements read, in one round trip.

    Raises StoreError unless there is a store of this version; whether it works there, `require_usable` finds out.
    """
    try:
        try:
            questions = (_VERSION, None), (roles.RIGHTS, None), *more
            versions, (rights,), *found = await usable_answers(connection, what, *questions)
        except psycopg.ProgrammingError:  # no store, an older one, or a pooler that gives other settings
            await usable_answers(connection, what)
            _require_known(await version_of(connection, what), what)
            raise
        _require_known(_known_version(versions, what) if versions else await version_of(connection, what), what)
        return roles.granted(rights), found
    except psycopg.Error as error:
        raise store_error(what, error) from None


async def require_usable(connection: Connection, what: str) -> None:
    """After `require_current`. Raises StoreError where a pooler stands between."""
    try:
        await refuse_unusable(connection, what, asked=1)
    except psycopg.Error as error:
        raise store_error(what, error) from None


def _require_known(version: int | None, what: str) -> None:
    """Raises StoreError unless this is a store of this version."""
    if version is None:
        raise StoreError(what, "holds no store of dbtend", f"make one with `dbtend store init {what}`")
    if version < (known := newest_version()):
        why = f"was made by an older dbtend (store version {version}, this one needs {known})"
        raise StoreError(what, why, f"upgrade it with `dbtend store init {what}`")


async def version_of(connection: Connection, what: str) -> int | None:
    """The version of the store; None if the database holds none.

    Raises StoreError if it is newer or from before the first release, or another program has this schema.
    """
    if not _is_there(await _row(connection, _SCHEMAS), what):
        return None
    (versions,) = await answers(connection, (_VERSION, None))
    return _known_version(versions, what)


def _is_there(schemas: Sequence[Any], what: str) -> bool:
    """Raises StoreError if another program has the schema of a store."""
    is_ours, has_schema = schemas
    if has_schema and not is_ours:
        raise StoreError(what, f"has a schema {SCHEMA} that is no store of dbtend", HINT)
    return bool(is_ours)


def _known_version(versions: Sequence[tuple[Any, ...]], what: str) -> int:
    """Raises StoreError if the store is newer, or from before the first release."""
    known = newest_version()
    if not versions:
        raise StoreError(what, "was changed by hand: its version is missing", "restore it from a backup")
    ((version,),) = versions
    if version < FIRST_VERSION:
        why = f"was made by a dbtend before the first release (store version {version}, not {FIRST_VERSION} or later)"
        raise StoreError(what, why, f"drop its schemas, or {HINT}")
    if version > known:
        why = f"was made by a newer dbtend (store version {version}, this one knows {known})"
        raise StoreError(what, why, "upgrade dbtend, or give another store")
    return int(version)


async def migrate(connection: Connection, what: str) -> int | None:
    """Make the store, or upgrade and repair it; a failure changes nothing; returns the version before.

    Several at once wait for each other. The connection commits each statement by itself. Raises StoreError, such as of
    a newer store or a right that is missing; psycopg.Error.
    """
    await refuse_unusable(connection, what)
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCKS['MIGRATE']})".encode())
        before = await version_of(connection, what)
        if before is None:
            await _create(connection, what)
        else:
            await require_owner(connection, what)
        await roles.create_roles(connection)
        await connection.execute(f"SET LOCAL search_path = {roles.SEARCH_PATH}".encode())
        await connection.execute("SET LOCAL check_function_bodies = off")  # some call later ones
        await connection.execute(_vocabulary().encode())
        for script in migrations()[before - FIRST_VERSION + 1 if before else 0 :]:
            await connection.execute(script.encode())
        for script in scripts("functions"):
            await connection.execute(_filled_in(script).encode())
        for (stale,) in await (await connection.execute(_STALE_FUNCTIONS.encode())).fetchall():
            await connection.execute(f"DROP FUNCTION {stale}".encode())
        await roles.grant(connection)
        await connection.execute("DELETE FROM store_version")
        await connection.execute("INSERT INTO store_version VALUES (%s)", (newest_version(),))
    return before


async def _create(connection: Connection, what: str) -> None:
    role, database, may_create = await _row(connection, _MAY_CREATE)
    if not may_create:
        why = f"role {role} may not create a schema there"
        raise StoreError(what, why, f"let an administrator run: GRANT CREATE ON DATABASE {database} TO {role}")
    await connection.execute("CREATE SCHEMA dbtend")
    await connection.execute("CREATE TABLE dbtend.store_version (number integer NOT NULL)")


async def require_owner(connection: Connection, what: str) -> None:
    """Raises StoreError unless this role may change the store."""
    role, owner, is_owner = await _row(connection, _OWNER)
    if not is_owner:
        raise StoreError(what, f"belongs to role {owner}, and {role} may not change it", f"run this as {owner}")


async def _row(connection: Connection, query: str) -> tuple[Any, ...]:
    cursor = await connection.execute(query.encode())
    return tuple(await cursor.fetchone() or ())


def _filled_in(script: str) -> str:
    for name, value in {**LOCKS, "GRACE": str(GRACE), "MEASURED_KEPT": str(MEASURED_KEPT)}.items():
        script = script.replace(f"{{{name}}}", value)
    return script


def _vocabulary() -> str:
    """The functions made from engine/domain: known words, legal transitions, phrases."""
    words = {
        "operation": Operation,
        "reason": Reason,
        "firing status": FiringStatus,
        "firing reason": FiringReason,
    }
    known = [f"{kind}:{word}" for kind, vocabulary in words.items() for word in vocabulary]
    legal = [
        f"{table}:{old}>{new}"
        for table, transitions in (("parent_job", PARENT_TRANSITIONS), ("child_job", CHILD_TRANSITIONS))
        for old, news in transitions.items()
        for new in news
    ]
    return "\n".join(
        (
            _check("is_known(kind text, word text) RETURNS boolean", f"kind || ':' || word = ANY ({_array(known)})"),
            _function(
                "is_legal(tbl text, old text, new text) RETURNS boolean",
                f"old = new OR tbl || ':' || old || '>' || new = ANY ({_array(legal)})",
            ),
            _function(
                "phrase(name text) RETURNS text",
                "CASE name " + " ".join(f"WHEN {_text(k)} THEN {_text(v)}" for k, v in PHRASES.items()) + " END",
            ),
        )
    )


def _function(signature: str, body: str) -> str:
    return f"CREATE OR REPLACE FUNCTION {signature} LANGUAGE sql IMMUTABLE AS $$ SELECT {body} $$;"


def _check(signature: str, body: str) -> str:
    """A function for constraints, in plpgsql: an SQL function would be parsed again at each write."""
    return (
        f"CREATE OR REPLACE FUNCTION {signature} LANGUAGE plpgsql IMMUTABLE STRICT AS $$ BEGIN RETURN {body}; END $$;"
    )


def _array(words: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(map(_text, sorted(words)))}]"


def _text(word: str) -> str:
    return sql.Literal(word).as_string(None)
