"""Names of tables: quoted for SQL, and as people write them."""

from __future__ import annotations

import re
from typing import Final

from engine.targets.quoting import enclosed

_SIMPLE: Final = re.compile(r"[0-9A-Za-z_$]*[A-Za-z_$][0-9A-Za-z_$]*")


def quote(name: str) -> str:
    return enclosed(name, "`")


def qualified(database: str, name: str) -> str:
    """As SQL takes it, whatever the session's database is."""
    return f"{quote(database)}.{quote(name)}"


def literal(text: str) -> str:
    """Quote a text as a string of SQL. The session's sql_mode has no NO_BACKSLASH_ESCAPES."""
    return enclosed(text.replace("\\", "\\\\").replace("\0", "\\0"), "'")


def shown(name: str) -> str:
    """The name as a DBA would type it: quoted only where it must be."""
    return name if _SIMPLE.fullmatch(name) else quote(name)


def account(user: str) -> str:
    """`ann@%` as SQL takes it."""
    name, _, host = user.rpartition("@")
    return f"{literal(name)}@{literal(host)}"
