"""Option files of MariaDB and MySQL: what ~/.my.cnf and its like say about how to connect."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from engine.domain.errors import UsageError
from engine.domain.typed_passwords import Secret
from engine.system.private_files import ExposedError, Exposure, exposure, read_private

GROUPS: Final = frozenset({"client", "client-server", "client-mariadb", "dbtend"})
"""Groups that are read; of an option that is there several times the last counts, as for the servers' own tools."""
OPTIONS: Final = frozenset({
    "user", "password", "host", "port", "socket", "protocol", "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "ssl",
    "skip-ssl", "ssl-verify-server-cert",
})  # fmt: skip
_DEEPEST: Final = 10
"""Files that include each other."""
_LARGEST: Final = 1_000_000
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "s": " ", '"': '"', "'": "'", "\\": "\\"}


class Password(Secret):
    """A password from an option file."""

    file: Path


def _password(text: str, file: Path) -> Password:
    found = Password(text)
    found.file = file
    return found


def options(option_file: str = "", group: str = "") -> Mapping[str, str]:
    """What the option files say. Reads the disk. Raises UsageError for a file or group that is not there.

    Args:
        option_file: the only file that is read; else those of the system and of the user are.
        group: one more group.
    """
    files = [Path(option_file)] if option_file else _usual_files()
    found: dict[str, str] = {}
    seen: set[str] = set()
    for path in files:
        for file, section, name, value in _settings(path, 0, required=bool(option_file)):
            seen.add(section)
            if (section in GROUPS or section == group) and name in OPTIONS:
                found[name] = _password(value, file) if name == "password" else value
    if group and group not in seen:
        where = option_file or ", ".join(map(str, files))
        raise UsageError(f"group {group}", f"no option file has it: {where}", f"write [{group}] before its options")
    return found


def _usual_files() -> list[Path]:
    home = os.environ.get("MYSQL_HOME")
    own = [Path(home) / "my.cnf"] if home else []
    return [Path("/etc/my.cnf"), Path("/etc/mysql/my.cnf"), *own, Path.home() / ".my.cnf"]


def exposed_files() -> Mapping[Path, Exposure]:
    """The usual option files that are ignored, as another user could change them. Reads the disk."""
    found = {}
    for path in _usual_files():
        with contextlib.suppress(OSError):
            if path.is_file() and (exposed := exposure(path)):  # it may be /dev/null
                found[path] = exposed
    return found


def _settings(path: Path, depth: int, *, required: bool = False) -> Iterator[tuple[Path, str, str, str]]:
    """File, group, option and value of each line, in order."""
    section = ""
    for line in _lines(path, required=required):
        if line.startswith("[") and "]" in line:
            section = line[1 : line.index("]")].strip()
        elif directive := re.fullmatch(r"!(include|includedir)\s+(.+)", line):
            place = path.parent / directive[2]
            included = sorted(place.glob("*.cnf")) if directive[1] == "includedir" else [place]
            for file in included if depth < _DEEPEST else ():
                yield from _settings(file, depth + 1)
        elif not line.startswith("!"):
            name, _, value = line.partition("=")
            if "#" in name:
                name, value = name.partition("#")[0], ""
            yield path, section, _option(name), _value(value)


def _lines(path: Path, *, required: bool) -> list[str]:
    """The lines with a setting; none of a file that is not `required` and cannot be read, or that others could change.

    Raises UsageError.
    """
    text = ""
    try:
        text = read_private(path, _LARGEST).decode(errors="replace")
    except ExposedError as error:
        if required:
            raise UsageError(error.exposure.path, error.exposure.why, error.exposure.fix) from None
    except OSError as error:
        if required:
            why = error.strerror or "it cannot be read"
            raise UsageError(f"option file {path}", why, "check its path and its rights: chmod 600") from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and line[0] not in "#;"]


def _option(name: str) -> str:
    return name.strip().lower().replace("_", "-").removeprefix("loose-")


def _value(text: str) -> str:
    """The value without its comment and quotes, with its escapes resolved."""
    text = text[: _comment(text)].strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text)


def _comment(text: str) -> int:
    """Where a comment begins: a # outside of quotes."""
    quote, escaped = "", False
    for at, character in enumerate(text):
        if character in "\"'" and not escaped and quote in ("", character):
            quote = "" if quote else character
        if character == "#" and not quote:
            return at
        escaped = bool(quote) and character == "\\" and not escaped
    return len(text)
