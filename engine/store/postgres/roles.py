"""Roles of the shared store, and which of its functions each may call.

Tables are read by SELECT, and written by functions alone, which run with the rights of who made the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import psycopg

from engine.domain.errors import ReadOnlyError

Connection = psycopg.AsyncConnection[Any]


class Role(StrEnum):
    VIEWER = "dbtend_viewer"
    OPERATOR = "dbtend_operator"
    WORKER = "dbtend_worker"


SEARCH_PATH: Final = "dbtend, pg_temp"
"""The search path of connections to the store, and of its functions for each caller."""
_OPERATOR: Final = frozenset({Role.OPERATOR})
_WORKER: Final = frozenset({Role.WORKER})
_BOTH: Final = _OPERATOR | _WORKER
READS: Final = (
    "now_micros",
    "may_claim",
    "steps_of",
    "number_of",
    "found_no_damage",
    "has_failed",
    "is_urgent",
    "open_batch",
    "is_other_machine",
)
"""Functions within reads: they run with the rights of who reads, so that the server can inline them."""
OF_SESSION: Final = ("prove_again",)
"""Functions that end sessions of who calls them, with the rights of that role."""
AT_COMMIT: Final = ("parent_job_event", "child_job_event")
"""Triggers that run when the function that wrote has returned."""
WRITES: Final[Mapping[str, frozenset[Role]]] = {
    **dict.fromkeys(
        ("submit", "submitted", "request_cancel", "cancel_all", "cancel_batch", "request_force", "begin_batch"),
        _OPERATOR,
    ),
    **dict.fromkeys(("pause", "resume", "pin", "forget_databases"), _OPERATOR),
    **dict.fromkeys(("enable_schedule", "disable_schedule", "drain_host", "undrain_host"), _OPERATOR),
    **dict.fromkeys(("claim", "report", "finish", "finish_and_claim", "release"), _WORKER),
    **dict.fromkeys(("beat", "forget_worker", "rescue", "release_from"), _WORKER),
    **dict.fromkeys(("register_worker", "prove_again", "session_of", "take_proof", "note_signal"), _WORKER),
    **dict.fromkeys(("forget_recipients", "collect_events", "make_message"), _WORKER),
    **dict.fromkeys(("take_over_messages", "begin_delivery", "end_delivery"), _WORKER),
    # Each process with an open store looks after it.
    **dict.fromkeys(("enforce_time_limits", "let_start", "register_recipients"), _BOTH),
    **dict.fromkeys(("prune", "prune_changes", "prune_firings", "save_measurement", "save_surveys"), _BOTH),
    **dict.fromkeys(("save_damage", "name_database"), _BOTH),
    **dict.fromkeys(("observe_schedules", "forget_schedules", "fire", "record_firings"), _BOTH),
}
"""Who may call the functions that write. All other functions are parts of these."""
EXISTING: Final = "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)"
_FUNCTIONS: Final = """SELECT nspname, proname, p.oid::regprocedure::text FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = pronamespace WHERE nspname = 'dbtend'"""
_TABLES: Final = """SELECT relname FROM pg_class
WHERE relnamespace = 'dbtend'::regnamespace AND relkind IN ('r', 'v') ORDER BY relname"""
_MAY_CREATE: Final = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"


_OF_ROLE: Final = {Role.OPERATOR: "submit", Role.WORKER: "claim", Role.VIEWER: "now_micros"}
"""A function that tells that a user has a role."""
_MAY_CALL: Final = "(SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM pg_proc WHERE proname = '{}' AND {})"
_IN_SCHEMA: Final = "pronamespace = 'dbtend'::regnamespace"
RIGHTS: Final = f"SELECT {', '.join(_MAY_CALL.format(name, _IN_SCHEMA) for name in _OF_ROLE.values())}"


def creation(missing: Sequence[Role]) -> str:
    """The SQL that makes these roles."""
    return " ".join(f"CREATE ROLE {role} NOLOGIN;" for role in missing)


def missing_role(what: str, function: str) -> ReadOnlyError:
    """The error for a user who may not call a function that writes."""
    role = " or ".join(sorted(WRITES[function]))
    hint = f"let an administrator run: GRANT {min(WRITES[function])} TO ..."
    return ReadOnlyError(what, f"your user needs the role {role} for that", hint)


async def missing_roles(connection: Connection) -> list[Role]:
    """The roles that the server does not have. Raises psycopg.Error."""
    cursor = await connection.execute(EXISTING.encode(), (list(Role),))
    there = {name for (name,) in await cursor.fetchall()}
    return [role for role in Role if role not in there]


async def create_roles(connection: Connection) -> None:
    """Make those that are missing, if this role may. Raises psycopg.Error."""
    cursor = await connection.execute(_MAY_CREATE.encode())
    if (await cursor.fetchone() or (False,))[0] and (missing := await missing_roles(connection)):
        await connection.execute(creation(missing).encode())


class Right(NamedTuple):
    """One that a role has on an object of the store."""

    kind: str
    """`schema`, `table` or `function`, as in a GRANT; `column` of those that others gave."""
    name: str
    """With its schema; of a function without its parameters."""
    right: str
    role: str


async def rights_given(connection: Connection, there: Collection[Role]) -> set[Right]:
    """All rights of these roles. Raises psycopg.Error."""
    tables = [name for (name,) in await (await connection.execute(_TABLES.encode())).fetchall()]
    functions = await (await connection.execute(_FUNCTIONS.encode())).fetchall()
    return {right for role in there for right in _rights_of(role, tables, functions)}


def _rights_of(role: Role, tables: Sequence[str], functions: Sequence[tuple[str, str, str]]) -> Iterator[Right]:
    yield Right("schema", "dbtend", "USAGE", role)
    for table in tables:
        yield Right("table", f"dbtend.{table}", "SELECT", role)
    for schema, name, _ in functions:
        if name in READS or role in WRITES.get(name, ()):
            yield Right("function", f"{schema}.{name}", "EXECUTE", role)


async def grant(connection: Connection) -> None:
    """Give each role that is there its rights, and no other one, and take from all others what they have by default.

    In the transaction that made the functions, with its search path. Raises psycopg.Error.
    """
    there = set(Role) - set(await missing_roles(connection))
    functions = await (await connection.execute(_FUNCTIONS.encode())).fetchall()
    called = {f"{schema}.{name}": call for schema, name, call in functions}
    everybody = ", ".join(("PUBLIC", *sorted(there)))
    statements = [
        f"REVOKE ALL ON ALL {kind} IN SCHEMA dbtend FROM {everybody} CASCADE"
        for kind in ("TABLES", "SEQUENCES", "ROUTINES")
    ]
    statements.append(f"REVOKE ALL ON SCHEMA dbtend FROM {everybody} CASCADE")
    statements += [
        f"ALTER FUNCTION {called[f'dbtend.{name}']} SECURITY DEFINER SET search_path = {SEARCH_PATH}"
        for name in (*(WRITES.keys() - set(OF_SESSION)), *AT_COMMIT)
    ]
    for kind, name, right, role in sorted(await rights_given(connection, there)):
        statements.append(f"GRANT {right} ON {kind} {called.get(name, name) if kind == 'function' else name} TO {role}")
    for statement in statements:
        await connection.execute(statement.encode())


def granted(rights: Sequence[bool | None]) -> frozenset[Role]:
    """The roles whose functions a user may call, by the answer to `RIGHTS`."""
    return frozenset(role for role, may in zip(_OF_ROLE, rights, strict=True) if may)
