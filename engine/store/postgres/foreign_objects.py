"""What others have added to the schemas of the store: some of it would run with the rights of the store's owner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from engine.domain.store_reports import Foreign, ForeignObject
from engine.store.postgres import roles
from engine.store.postgres.roles import Right
from engine.store.postgres.schema import scripts

Connection = psycopg.AsyncConnection[Any]

_TRIGGER: Final = re.compile(r"CREATE (?:OR REPLACE |CONSTRAINT )*TRIGGER (\w+)")
_OURS: Final = """WITH owner AS (SELECT nspowner AS id FROM pg_namespace WHERE nspname = 'dbtend'),
    ours AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = 'dbtend'),
    relation AS (SELECT c.*, nspname || '.' || relname AS name FROM pg_class AS c JOIN ours ON ours.oid = relnamespace
        WHERE relkind <> 'i'),
    routine AS (SELECT p.*, nspname || '.' || proname AS name FROM pg_proc AS p JOIN ours ON ours.oid = pronamespace)"""
_OBJECTS: Final = f"""{_OURS}
SELECT 'trigger', tgname || ' on ' || c.name FROM pg_trigger JOIN relation AS c ON c.oid = tgrelid
    JOIN pg_proc AS p ON p.oid = tgfoid
WHERE NOT tgisinternal AND (tgname <> ALL (%(triggers)s) OR pronamespace <> relnamespace)
UNION ALL SELECT 'rule', rulename || ' on ' || name FROM pg_rewrite AS r JOIN relation ON relation.oid = ev_class
    WHERE rulename <> '_RETURN'
UNION ALL SELECT 'policy', polname || ' on ' || name FROM pg_policy JOIN relation ON relation.oid = polrelid
UNION ALL SELECT 'default_rights', 'of ' || pg_get_userbyid(defaclrole) || coalesce(' in ' || nspname, '')
    FROM pg_default_acl LEFT JOIN ours ON ours.oid = defaclnamespace
    WHERE defaclrole = (SELECT id FROM owner) AND (nspname IS NOT NULL OR defaclnamespace = 0)
        OR has_schema_privilege(defaclrole, ours.oid, 'CREATE')
UNION ALL SELECT 'owner', pg_get_userbyid(held_by) || ' has ' || name FROM (
        SELECT nspname, nspowner FROM ours
        UNION ALL SELECT name, relowner FROM relation
        UNION ALL SELECT name, proowner FROM routine
        UNION ALL SELECT nspname || '.' || typname, typowner FROM pg_type JOIN ours ON ours.oid = typnamespace
            WHERE typrelid = 0 AND typelem = 0
    ) AS held (name, held_by) WHERE held_by <> (SELECT id FROM owner)
UNION ALL SELECT 'role', pg_get_userbyid(member) || ' is a member of ' || pg_get_userbyid(roleid)
    FROM pg_auth_members JOIN pg_roles AS r ON r.oid = member WHERE rolname = ANY (%(roles)s)
UNION ALL SELECT 'role', rolname || ' may more than a role of the store needs' FROM pg_roles
    WHERE rolname = ANY (%(roles)s)
        AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
ORDER BY 1, 2"""
_RIGHTS: Final = f"""{_OURS}
SELECT kind, name, privilege_type, CASE grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(grantee)::text END,
    is_grantable
FROM (
    SELECT 'schema' AS kind, nspname AS name, nspacl AS acl, nspowner AS held_by FROM ours
    UNION ALL SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, name, relacl, relowner FROM relation
    UNION ALL SELECT 'column', name || '.' || attname, attacl, relowner
        FROM pg_attribute JOIN relation ON relation.oid = attrelid
    UNION ALL SELECT 'function', name, coalesce(proacl, acldefault('f', proowner)), proowner FROM routine
) AS held CROSS JOIN LATERAL aclexplode(acl) WHERE grantee <> held_by"""
_ONLY_LOOKS: Final = {("table", "SELECT"), ("column", "SELECT"), ("schema", "USAGE")}
"""What others may be given, such as for a dashboard."""


async def foreign_objects(connection: Connection) -> tuple[ForeignObject, ...]:
    """Whatever `dbtend store init` has not made, by what is in the catalog. Raises psycopg.Error."""
    known = {"triggers": _triggers(), "roles": [role.value for role in roles.Role]}
    found = await (await connection.execute(_OBJECTS.encode(), known)).fetchall()
    rights = await (await connection.execute(_RIGHTS.encode())).fetchall()
    given = await roles.rights_given(connection, list(roles.Role))
    return (
        *(ForeignObject(Foreign(kind), text) for kind, text in found),
        *(ForeignObject(Foreign.RIGHT, text) for text in sorted(_foreign_rights(rights, given))),
    )


def _triggers() -> list[str]:
    return [name for script in scripts("functions") for name in _TRIGGER.findall(script)]


def _foreign_rights(rights: list[tuple[Any, ...]], given: set[Right]) -> Iterator[str]:
    for *right, is_grantable in rights:
        kind, name, what, role = right
        is_ours = role == "public" or role in list(roles.Role)
        if (Right(*right) in given and not is_grantable) or (not is_ours and (kind, what) in _ONLY_LOOKS):
            continue
        yield f"{what} on {kind} {name} for {role}"
