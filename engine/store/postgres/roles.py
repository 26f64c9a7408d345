"""Roles of the shared store, and which of its functions each may call.

Tables are read by SELECT, and written by functions alone, which run with the rights of who made the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import psycopg

from engine.domain.errors import ReadOnlyError

Connection = psycopg.AsyncConnection[Any]


class Role(StrEnum):
    VIEWER = "dbtend_viewer"
    OPERATOR = "dbtend_operator"
    WORKER = "dbtend_worker"


SEARCH_PATH: Final = "dbtend, dbtend_queue, pg_temp"
"""The search path of connections to the store, and of its functions for each caller."""
_OPERATOR: Final = frozenset({Role.OPERATOR})
_WORKER: Final = frozenset({Role.WORKER})
_BOTH: Final = _OPERATOR | _WORKER
READS: Final = (
    "now_micros",
    "may_claim",
    "steps_of",
    "number_of",
    "is_urgent",
    "open_batch",
    "offered_in",
    "has_queue",
    "is_other_machine",
)
"""Functions within reads: they run with the rights of who reads, so that the server can inline them."""
OF_SESSION: Final = ("prove_again",)
"""Functions that end sessions of who calls them, with the rights of that role."""
AT_COMMIT: Final = ("parent_job_event", "child_job_event")
"""Triggers that run when the function that wrote has returned."""
WRITES: Final[Mapping[str, frozenset[Role]]] = {
    **dict.fromkeys(
        ("submit", "submitted", "request_cancel", "cancel_all", "cancel_batch", "request_force"), _OPERATOR
    ),
    **dict.fromkeys(("pause", "resume", "pin"), _OPERATOR),
    **dict.fromkeys(("enable_schedule", "disable_schedule", "drain_host", "undrain_host"), _OPERATOR),
    **dict.fromkeys(("claim", "report", "finish", "finish_and_claim", "release"), _WORKER),
    **dict.fromkeys(("beat", "forget_worker", "give_hints"), _WORKER),
    **dict.fromkeys(("register_worker", "prove_again", "session_of", "take_proof", "note_signal"), _WORKER),
    # Each process with an open store looks after it.
    **dict.fromkeys(("rescue", "release_from", "enforce_time_limits", "let_start"), _BOTH),
    **dict.fromkeys(("prune", "prune_changes", "prune_firings", "save_measurement", "save_surveys"), _BOTH),
    **dict.fromkeys(("observe_schedules", "forget_schedules", "fire", "record_firings"), _BOTH),
    **dict.fromkeys(("register_recipients", "forget_recipients", "collect_events", "make_message"), _BOTH),
    **dict.fromkeys(("take_over_messages", "begin_delivery", "end_delivery"), _BOTH),
}
"""Who may call the functions that write. All other functions are parts of these."""
EXISTING: Final = "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)"
_FUNCTIONS: Final = "SELECT proname, oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'dbtend'::regnamespace"
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


async def grant(connection: Connection) -> None:
    """Give each role that is there its rights, and take from all others what they have by default.

    In the transaction that made the functions, with its search path. Raises psycopg.Error.
    """
    there = set(Role) - set(await missing_roles(connection))
    cursor = await connection.execute(_FUNCTIONS.encode())
    functions = dict(await cursor.fetchall())
    statements = ["REVOKE ALL ON ALL FUNCTIONS IN SCHEMA dbtend, dbtend_queue FROM PUBLIC"]
    statements += [
        f"ALTER FUNCTION {functions[name]} SECURITY DEFINER SET search_path = {SEARCH_PATH}"
        for name in (*(WRITES.keys() - set(OF_SESSION)), *AT_COMMIT)
    ]
    for role in sorted(there):
        allowed = [functions[name] for name in READS]
        allowed += [functions[name] for name, roles in WRITES.items() if role in roles]
        statements += [
            f"GRANT USAGE ON SCHEMA dbtend, dbtend_queue TO {role}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA dbtend TO {role}",
            f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA dbtend FROM {role}",
            f"GRANT EXECUTE ON FUNCTION {', '.join(allowed)} TO {role}",
        ]
    if Role.WORKER in there:
        for rights, kind in (("ALL", "TABLES"), ("USAGE", "SEQUENCES"), ("EXECUTE", "FUNCTIONS")):
            statements.append(f"GRANT {rights} ON ALL {kind} IN SCHEMA dbtend_queue TO {Role.WORKER}")
    for statement in statements:
        await connection.execute(statement.encode())


def granted(rights: Sequence[bool | None]) -> frozenset[Role]:
    """The roles whose functions a user may call, by the answer to `RIGHTS`."""
    return frozenset(role for role, may in zip(_OF_ROLE, rights, strict=True) if may)
