"""The shape of the shared store in PostgreSQL: migrations, and the functions that are its writes.

To change a table, add the next `migrations/NNN_name.sql`. Every migration ends by creating all functions again, and the
rules made from the vocabulary in engine/domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import sql

from engine.domain.errors import StoreError
from engine.domain.requests import EngineName, Operation
from engine.domain.schedules import FiringReason, FiringStatus
from engine.domain.statuses import CHILD_TRANSITIONS, PARENT_TRANSITIONS, Reason
from engine.store.ending_texts import PHRASES

SCHEMA: Final = "dbtend"
_CLASS: Final = 0x6474656E
"""The first half of all advisory locks: "dten"."""
LOCKS: Final[Mapping[str, str]] = {
    "WORKERS": str(_CLASS),
    "HOSTS": str(_CLASS + 1),
    "GATE": f"{_CLASS + 2}, 0",
    "SUBMITS": f"{_CLASS + 3}, 0",
    "MIGRATE": f"{_CLASS + 4}, 0",
}
GRACE: Final = 10
"""Seconds after a start of the server in which nobody is declared dead."""
MEASURED_KEPT: Final = 365 * 86_400 * 1_000_000
"""Microseconds."""
HINT: Final = "give the URL of a database of its own, or of a store of dbtend"

Connection = psycopg.AsyncConnection[Any]


@cache
def migrations() -> Sequence[str]:
    """The SQL of every migration, in order; the version of a store is how many it has had."""
    return _scripts("migrations")


def _scripts(directory: str) -> Sequence[str]:
    files = sorted((Path(__file__).parent / directory).glob("*.sql"))
    return [file.read_text(encoding="utf-8") for file in files]


async def require_current(connection: Connection, what: str) -> None:
    """Raises StoreError unless the database holds a store of this version."""
    version, known = await version_of(connection, what), len(migrations())
    if version is None:
        raise StoreError(what, "holds no store of dbtend", f"make one with `dbtend store init {what}`")
    if version < known:
        why = f"was made by an older dbtend (store version {version}, this one needs {known})"
        raise StoreError(what, why, f"upgrade it with `dbtend store init {what}`")


async def version_of(connection: Connection, what: str) -> int | None:
    """The version of the store in the database; None if there is none. Raises StoreError if it is newer."""
    (table,) = await _row(connection, "SELECT to_regclass('dbtend.store_version')::text")
    if table is None:
        (is_taken,) = await _row(connection, "SELECT to_regnamespace('dbtend') IS NOT NULL")
        if is_taken:
            raise StoreError(what, "has a schema dbtend that is no store of dbtend", HINT)
        return None
    (version,) = await _row(connection, "SELECT max(number) FROM dbtend.store_version")
    known = len(migrations())
    if version > known:
        why = f"was made by a newer dbtend (store version {version}, this one knows {known})"
        raise StoreError(what, why, "upgrade dbtend, or give another store")
    return int(version)


async def migrate(connection: Connection, what: str) -> None:
    """Make the store, or upgrade it; nothing changes where that fails. The connection commits each statement by itself.

    Raises StoreError if it is newer, psycopg.Error.
    """
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCKS['MIGRATE']})".encode())
        version = await version_of(connection, what)
        if version is None:
            await connection.execute("CREATE SCHEMA dbtend")
            await connection.execute("CREATE TABLE dbtend.store_version (number integer NOT NULL)")
            await connection.execute("CREATE SCHEMA dbtend_queue")
            await connection.execute("SET LOCAL search_path = dbtend_queue")
            await connection.execute(SchemaManager.get_schema().encode())
        await connection.execute("SET LOCAL search_path = dbtend, dbtend_queue, pg_temp")
        await connection.execute("SET LOCAL check_function_bodies = off")  # some call later ones
        await connection.execute(_vocabulary().encode())
        for script in migrations()[version or 0 :]:
            await connection.execute(script.encode())
        for script in _scripts("functions"):
            await connection.execute(_filled_in(script).encode())
        await connection.execute("DELETE FROM store_version")
        await connection.execute("INSERT INTO store_version VALUES (%s)", (len(migrations()),))


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
        "engine": EngineName,
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
            _function("is_known(kind text, word text) RETURNS boolean", f"kind || ':' || word = ANY ({_array(known)})"),
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


def _array(words: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(map(_text, sorted(words)))}]"


def _text(word: str) -> str:
    return sql.Literal(word).as_string(None)
