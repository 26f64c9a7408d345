"""Names of targets: which are those of databases on servers; canonical URLs as paths, and as words of command lines."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from engine.domain.engines import EngineName, engine_of_scheme
from engine.domain.lazy_import import lazy

if TYPE_CHECKING:
    import shlex
else:
    shlex = lazy("shlex", "only a proposed command needs it")

URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
LIBPQ: Final = re.compile(r"\s*(service|host|hostaddr|port|dbname|user|password|passfile|sslmode)\s*=")


def server_engine(text: str) -> EngineName | None:
    """The engine of the server whose database `text` names; None if it names none."""
    if text.startswith("/"):  # most are paths
        return None
    if url := URL.fullmatch(text):
        spec = engine_of_scheme(url["scheme"].lower())
        return None if spec is None or spec.is_file else spec.name
    return EngineName.POSTGRESQL if LIBPQ.match(text) else None


def names_server(text: str) -> bool:
    """Whether `text` names a database on a server, not a file."""
    return server_engine(text) is not None


_FILE: Final = "sqlite://"


def path_of(url: str) -> str:
    """The path in the canonical URL of a file on this host."""
    return os.fsdecode(unquote_to_bytes(url.removeprefix(_FILE).encode("utf-8", "surrogateescape")))


def command_word(url: str) -> str:
    """A canonical URL as a printable word of a shell that names this target and no other: a path for a file here."""
    path = path_of(url) if url.startswith(f"{_FILE}/") else url
    word = path if path.isprintable() else url
    return shlex.quote("".join(c if c.isprintable() else quote(os.fsencode(c), safe="") for c in word))
