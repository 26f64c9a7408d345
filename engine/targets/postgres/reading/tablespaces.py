"""Whether rebuilt indexes may be moved into a tablespace."""

from __future__ import annotations

from typing import Final

from engine.domain.errors import UsageError
from engine.targets.postgres.connection.names import quote
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader

SHARED: Final = "pg_global"


async def tablespace_problem(reader: Reader, name: str | None) -> str:
    """Why nothing can be moved into it; "" if it can. Raises UsageError if there is none of this name."""
    if name is None:
        return ""
    found = await reader.rows(query("tablespace"), [name], row=(bool,))
    if not found:
        raise UsageError(f"tablespace {name}", "does not exist on the server", "list them with psql's \\db")
    if name == SHARED:
        raise UsageError(f"tablespace {name}", "is for what all databases share", "name another")
    (may,) = found[0]
    role = quote(reader.server.user)
    grant = f"GRANT CREATE ON TABLESPACE {quote(name)} TO {role};"
    return "" if may else f"{reader.server.user} may not create in tablespace {name}. As a superuser: {grant}"
