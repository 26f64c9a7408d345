"""Which names are those of databases on servers. Needs no driver."""

from __future__ import annotations

import re
from typing import Final

from engine.domain.requests import EngineName

URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
LIBPQ: Final = re.compile(r"\s*(service|host|hostaddr|port|dbname|user|password|passfile|sslmode)\s*=")
POSTGRES: Final = frozenset({"postgresql", "postgres"})
MYSQL: Final = frozenset({"mysql", "mariadb"})
_ENGINES: Final = {
    **dict.fromkeys(POSTGRES, EngineName.POSTGRESQL),
    **dict.fromkeys(MYSQL, EngineName.MYSQL),
}


def server_engine(text: str) -> EngineName | None:
    """The engine of the server whose database `text` names; None if it names none."""
    if text.startswith("/"):  # most are paths
        return None
    if url := URL.fullmatch(text):
        return _ENGINES.get(url["scheme"].lower())
    return EngineName.POSTGRESQL if LIBPQ.match(text) else None


def names_server(text: str) -> bool:
    """Whether `text` names a database on a server, not a file."""
    return server_engine(text) is not None
