"""How names are written: identifiers in SQL, files in URLs."""

from __future__ import annotations

import os
import string
import unicodedata
from typing import Final
from urllib.parse import quote as percent_encoded

from engine.domain.server_names import file_url
from engine.targets.quoting import enclosed

_LOWER_CASE: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def quote(name: str) -> str:
    """`name` as an SQL identifier, whatever it contains. Raises ValueError for a NUL, which SQL cannot hold."""
    if "\0" in name:
        raise ValueError("an SQL name cannot contain a NUL character")
    return enclosed(name, '"')


def folded(name: str) -> str:
    """Equal for all spellings that SQLite takes for one name: it ignores the case of ASCII letters alone."""
    return name.translate(_LOWER_CASE)


def literal(text: str) -> str:
    """`text` as an SQL string; a path that is not UTF-8 as an expression with the same bytes.

    Raises ValueError for a NUL, which SQL cannot hold.
    """
    if "\0" in text:
        raise ValueError("an SQL string cannot contain a NUL character")
    if any(unicodedata.category(char) == "Cs" for char in text):
        return f"CAST(x'{os.fsencode(text).hex()}' AS TEXT)"
    return enclosed(text, "'")


def target_url(path: str) -> str:
    """The canonical URL of an absolute path."""
    return file_url("sqlite", path)


def connection_uri(path: str, *, writing: bool = True, immutable: bool = False) -> str:
    """What SQLite opens: the existing file at the absolute `path`, never a new one.

    `immutable`: the file cannot change. SQLite then takes no lock, and looks for no log and no journal.
    """
    mode = "mode=rw" if writing else "mode=ro"
    return f"file:{percent_encoded(os.fsencode(path))}?{mode}{'&immutable=1' if immutable else ''}"
