"""Databases by name: `mysql://` and `mariadb://` URLs become one canonical URL without a password."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.spelling import closest
from engine.system.local_servers import host_spelling
from engine.targets.mysql.connection.option_files import options

FORMS: Final = "give mysql://USER@HOST/DATABASE, or mariadb://USER@localhost/DATABASE?socket=PATH"
PORT: Final = 3306
PARAMETERS: Final = ("socket", "option-file", "group", "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key")
"""What may follow the ? of a URL."""
LOCAL: Final = "localhost"
"""The host of a server that is reached by its socket, unless a port is given."""


@frozen
class Address:
    """Where a database is."""

    scheme: str
    """`mysql` or `mariadb`, as given: both mean the same."""
    user: str
    host: str
    port: int
    """0: it is reached by a socket."""
    database: str
    """Empty: the server itself."""
    parameters: Mapping[str, str]

    @property
    def url(self) -> str:
        """The canonical URL; `address` of it gives the same again."""
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        where = user + host + (f":{self.port}" if self.port else "")
        query = "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in sorted(self.parameters.items()))
        return f"{self.scheme}://{where}/{quote(self.database, safe='*')}" + (f"?{query}" if query else "")

    @property
    def host_key(self) -> str:
        """Equal for all databases of a server that are named alike; the names of the loopback interface are one."""
        if self._is_in_a_file:
            return f"mysql:{self.parameters.get('option-file', '')}:{self.parameters.get('group', '')}"
        return f"mysql:{self.parameters.get('socket') or host_spelling(self.host)}:{self.port}"

    @property
    def _is_in_a_file(self) -> bool:
        """Whether an option file gives the missing parameters, at each connection."""
        return "group" in self.parameters or "option-file" in self.parameters

    def options(self) -> Mapping[str, str]:
        """What the option files say about connecting to it. Reads the disk. Raises UsageError."""
        return options(self.parameters.get("option-file", ""), self.parameters.get("group", ""))

    def complete(self, found: Mapping[str, str]) -> Address:
        """The address, with the values of option files where it has none itself. Raises UsageError."""
        port = found.get("port", "") or "0"
        if not (port.isascii() and port.isdigit() and int(port) < 65_536):
            raise UsageError("option file", "its port is no number from 1 to 65535", "correct it")
        host = self.host or found.get("host", "") or LOCAL
        by_socket = host == LOCAL and found.get("protocol", "").lower() != "tcp"
        parameters = dict(self.parameters)
        if by_socket and not self.port and found.get("socket"):
            parameters.setdefault("socket", found["socket"])
        return replace(
            self,
            user=self.user or found.get("user", "") or getpass.getuser(),
            host=host,
            port=0 if "socket" in parameters else self.port or (0 if by_socket else int(port) or PORT),
            parameters=parameters,
        )


def address(text: str) -> Address:
    """The complete address that `text` names, so that it means the same wherever it is used.

    What it does not say comes from the option files now, unless it names one of them, or a group.

    Raises UsageError; the message never repeats `text`, which may hold a secret.
    """
    try:
        url = urlsplit(text)
        if url.port == 0:
            raise ValueError
        port = url.port or 0
        given = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
    except ValueError:
        raise UsageError("target", "it is no URL of MariaDB or MySQL", FORMS) from None
    if url.password is not None:
        raise UsageError("target", "a password must not be part of a target", "put it into ~/.my.cnf, below [client]")
    for name in given.keys() - set(PARAMETERS):
        close = closest(name, PARAMETERS)  # of any other the name may be a secret
        hint = f"did you mean {close}?" if close else f"there are {', '.join(PARAMETERS)}"
        raise UsageError("target", "its URL has an unknown parameter", hint)
    path = url.path.removeprefix("/")
    if "/" in path or url.fragment:
        raise UsageError("target", "its database has a / or a #", "write %2F for / and %23 for #")
    parts = (unquote(url.username or ""), unquote(url.hostname or ""), unquote(path))
    if not all(part.isprintable() for part in (*parts, *given.values())):
        raise UsageError("target", "it has characters that cannot be printed", FORMS)
    user, host, database = parts
    named = Address(url.scheme.lower(), user, host, port, database, given)
    if named._is_in_a_file:
        return named
    return named.complete({} if user and host and (port or "socket" in given or host != LOCAL) else named.options())
