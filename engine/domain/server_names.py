"""Which names are those of databases on servers. Needs no driver."""

from __future__ import annotations

import re
from typing import Final

URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
LIBPQ: Final = re.compile(r"\s*(service|host|hostaddr|port|dbname|user|password|passfile|sslmode)\s*=")
POSTGRES: Final = frozenset({"postgresql", "postgres"})


def names_server(text: str) -> bool:
    """Whether `text` names a database on a server, not a file."""
    if text.startswith("/"):  # most are paths
        return False
    url = URL.fullmatch(text)
    return url["scheme"].lower() in POSTGRES if url else bool(LIBPQ.match(text))
