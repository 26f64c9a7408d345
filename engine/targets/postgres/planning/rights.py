"""What the role may do, and how to grant the rights that are missing: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from engine.domain.humanize import listed
from engine.targets.plans import NEEDS_TWO
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.connection.names import quote
from engine.targets.postgres.reading.relations import Index, Table

_Relation = TypeVar("_Relation", Table, Index)


def limit_of_one(server: Server) -> str:
    """Why no step can ever run: the role or the database may have one connection; "" if they may have more."""
    limits = (("role", server.login, server.login_limit), ("database", server.database, server.database_limit))
    of_one = [(kind, name) for kind, name, limit in limits if limit == 1]
    if not of_one:
        return ""
    who = " and the ".join(kind for kind, _ in of_one)
    to_do = " ".join(f"ALTER {kind.upper()} {quote(name)} CONNECTION LIMIT 2;" for kind, name in of_one)
    return f"{NEEDS_TWO}, and the {who} may have one (CONNECTION LIMIT). As an administrator: {to_do}"


def allowed(relations: Sequence[_Relation]) -> tuple[list[_Relation], list[_Relation]]:
    """The relations that the role may maintain, and the others."""
    may = [relation for relation in relations if relation.may_be_maintained]
    return may, [relation for relation in relations if not relation.may_be_maintained]


def missing_rights(forbidden: Sequence[Table | Index], server: Server) -> list[str]:
    """Which rights the role lacks, and how to grant them."""
    toast = [relation for relation in forbidden if isinstance(relation, Index) and relation.goes_with_its_table]
    # Compared by identity: there may be thousands of both.
    rebuilt_with_their_tables = set(map(id, toast))
    missing = [relation for relation in unprivileged(forbidden) if id(relation) not in rebuilt_with_their_tables]
    rights = [grant(missing, server.user, server.version)] if missing else []
    return [*rights, _missing_toast_right(toast, server.user)] if toast else rights


def _missing_toast_right(indexes: Sequence[Index], role: str) -> str:
    names = listed([index.table_shown for index in indexes])
    if any(index.is_leftover for index in indexes):
        return f"the leftover TOAST index of {names}: {role} may not drop it, a superuser may"
    command = "REINDEX TABLE CONCURRENTLY " + (names if len(indexes) == 1 else "NAME")
    what, them = ("TOAST index", "it") if len(indexes) == 1 else ("TOAST indexes", "them")
    return (
        f"the {what} of {names}: {role} may not rebuild {them} alone. As a role that may maintain the table: {command}"
    )


def unprivileged(relations: Iterable[Table | Index]) -> list[Table | Index]:
    """Relations outside the catalog that the role may not maintain."""
    return [relation for relation in relations if not relation.may_be_maintained and not relation.in_catalog]


def grant(relations: Sequence[Table | Index], role: str, version: int) -> str:
    """Which right is missing, and how to grant it."""
    tables = {r.shown if isinstance(r, Table) else r.table_shown: r for r in relations}
    names = list(tables)
    problem = f"{role} may not maintain {listed(names)}"
    if version < 170_000:
        return f"{problem}: connect as the owner, as the owner of the database, or as a superuser"
    if len(names) > 3:
        wide = "which lets it maintain every table of every database of the server"
        return f"{problem}. As a superuser: GRANT pg_maintain TO {quote(role)}; {wide}"
    grants = "; ".join(f"GRANT MAINTAIN ON TABLE {name} TO {quote(role)}" for name in names)
    return f"{problem}. As the owner: {grants}"
