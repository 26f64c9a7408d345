"""Names of targets: which are those of databases on servers; canonical URLs as paths, and as words of command lines."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from engine.domain.engines import EngineName, engine_of_file, engine_of_scheme
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


_PLAIN: Final = re.compile(r'[!"$&->@-~]*')
"""Visible ASCII that means nothing in a URL, but % and ? and #."""


def file_url(scheme: str, path: str) -> str:
    """The canonical URL of an absolute path: readable, and without anything a URL gives a meaning to."""
    return f"{scheme}://" + (path if _PLAIN.fullmatch(path) else "".join(map(_url_char, path)))


def _url_char(char: str) -> str:
    needs_encoding = char in "%?# " or unicodedata.category(char) in {"Cc", "Cs"}
    return quote(os.fsencode(char), safe="") if needs_encoding else char


def is_file_url(url: str) -> bool:
    """Whether a canonical URL is that of a file, here or on another host."""
    scheme, colon, _ = url.partition("://")
    spec = engine_of_scheme(scheme) if colon else None
    return spec is not None and spec.is_file


def without_scheme(url: str) -> str:
    """What follows `sqlite://` in the canonical URL of a file: `/srv/a.db`, or `db2/srv/a.db` on another host."""
    return url.partition("://")[2] if is_file_url(url) else url


def path_of(url: str) -> str:
    """The path in the canonical URL of a file on this host."""
    return os.fsdecode(unquote_to_bytes(without_scheme(url).encode("utf-8", "surrogateescape")))


def command_word(url: str) -> str:
    """A canonical URL as a printable word of a shell that names this target and no other: a path for a file here."""
    path = path_of(url) if without_scheme(url).startswith("/") else url
    means_it = path == url or engine_of_file(path).schemes[0] == url.partition("://")[0]
    word = path if path.isprintable() and means_it else url
    return shlex.quote("".join(c if c.isprintable() else quote(os.fsencode(c), safe="") for c in word))
