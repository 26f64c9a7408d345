"""Names of relations: quoted for SQL, and as people write them."""

from __future__ import annotations

import re
from typing import Final

from engine.targets.quoting import enclosed

_SIMPLE: Final = re.compile(r"[a-z_][a-z0-9_$]*")


class Named:
    """An object with a schema and a name."""

    __slots__ = ()
    schema: str
    name: str

    @property
    def sql(self) -> str:
        return qualified(self.schema, self.name)

    @property
    def shown(self) -> str:
        return shown(self.schema, self.name)


def quote(name: str) -> str:
    return enclosed(name, '"')


def literal(text: str) -> str:
    """Quote a text as a string of SQL, whatever standard_conforming_strings says."""
    quoted = enclosed(text.replace("\\", "\\\\"), "'")
    return f"E{quoted}" if "\\" in text else quoted


def qualified(schema: str, name: str) -> str:
    """The qualified name in SQL, whatever the search path is."""
    return f"{quote(schema)}.{quote(name)}"


def shown(schema: str, name: str) -> str:
    """The name as a DBA would type it: quoted only where it must be."""
    return f"{_as_typed(schema)}.{_as_typed(name)}"


def _as_typed(name: str) -> str:
    return name if _SIMPLE.fullmatch(name) else quote(name)
