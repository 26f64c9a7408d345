"""Canonical URLs of files as paths, and of targets as words of the command lines that dbtend proposes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from engine.domain.lazy_import import lazy

if TYPE_CHECKING:
    import shlex
else:
    shlex = lazy("shlex", "only a proposed command needs it")

_FILE: Final = "sqlite://"


def path_of(url: str) -> str:
    """The path in the canonical URL of a file on this host."""
    return os.fsdecode(unquote_to_bytes(url.removeprefix(_FILE).encode("utf-8", "surrogateescape")))


def command_word(url: str) -> str:
    """A canonical URL as a printable word of a shell that names this target and no other: a path for a file here."""
    path = path_of(url) if url.startswith(f"{_FILE}/") else url
    word = path if path.isprintable() else url
    return shlex.quote("".join(c if c.isprintable() else quote(os.fsencode(c), safe="") for c in word))
