"""The extension amcheck, which checks tables and B-trees."""

from __future__ import annotations

from typing import Final

from engine.targets.postgres.connection.names import quote
from engine.targets.postgres.reading.reader import Reader

_SCHEMA: Final = """
SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'
"""
_FORBIDDEN: Final = """
SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND NOT has_function_privilege(p.oid, 'EXECUTE')
    AND (p.proname = 'verify_heapam' OR p.proname = 'bt_index_check' AND p.pronargs = 2) ORDER BY 1
"""


async def amcheck(reader: Reader) -> tuple[str, str]:
    """The schema of the extension, and why the role cannot use it; "" if it can. Raises TargetError."""
    extension = await reader.rows(_SCHEMA, row=(str,), most=1)
    if not extension:
        return "", "the extension amcheck is not installed in this database. As a superuser: CREATE EXTENSION amcheck;"
    ((schema,),) = extension
    if forbidden := [function for (function,) in await reader.rows(_FORBIDDEN, [schema], row=(str,))]:
        role = reader.server.user
        command = f"GRANT EXECUTE ON FUNCTION {', '.join(forbidden)} TO {quote(role)};"
        return schema, f"{role} may not execute the functions of amcheck. As a superuser: {command}"
    return schema, ""
