"""Databases by name: `mysql://` and `mariadb://` URLs become one canonical URL without a password."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen

FORMS: Final = "give mysql://USER@HOST/DATABASE, or mariadb://USER@localhost/DATABASE?socket=PATH"
PORT: Final = 3306
PARAMETERS: Final = ("socket", "option-file", "group", "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key")
"""What may follow the ? of a URL."""


@frozen
class Address:
    """Where a database is."""

    scheme: str
    """`mysql` or `mariadb`, as it was given: both mean the same."""
    user: str
    host: str
    port: int
    """0: of a socket, or not given."""
    database: str
    """Empty: the server itself."""
    parameters: Mapping[str, str]

    @property
    def url(self) -> str:
        """The canonical URL; `address` of it gives the same again."""
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        where = f"{quote(self.user, safe='')}@{host}" + (f":{self.port}" if self.port else "")
        query = "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in sorted(self.parameters.items()))
        return f"{self.scheme}://{where}/{quote(self.database, safe='*?[]')}" + (f"?{query}" if query else "")

    @property
    def host_key(self) -> str:
        """The same for all databases of a server that are named alike."""
        where = self.parameters.get("socket") or f"{self.host}:{self.port}"
        return f"mysql:{where}:{self.parameters.get('group', '')}".removesuffix(":")


def address(text: str) -> Address:
    """Raises UsageError; the message never repeats `text`, which may hold a secret."""
    try:
        url = urlsplit(text)
        port = url.port or 0
        given = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
    except ValueError:
        raise UsageError("target", "it is no URL of MariaDB or MySQL", FORMS) from None
    if unknown := given.keys() - set(PARAMETERS):
        why = f"{sorted(unknown)[0]} is no parameter of a MariaDB or MySQL URL"
        raise UsageError("target", why, f"there are {', '.join(PARAMETERS)}")
    user, host = unquote(url.username or "") or getpass.getuser(), unquote(url.hostname or "") or "localhost"
    if host != "localhost" and "socket" not in given:
        port = port or PORT
    database = unquote(url.path.removeprefix("/"))
    if "/" in url.path.removeprefix("/"):
        raise UsageError("target", "the name of a database has no / (write %2F)", FORMS)
    return Address(url.scheme.lower(), user, host, port, database, given)
