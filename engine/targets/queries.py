"""Queries in files: the folder `queries/` of each engine has one for each query, `parts/` what several have in common.

Comments are not sent. `{name}` is the part of that name, or else a value that Python gives; `{part x; y}` is that part
with x and y for its `{1}` and `{2}`. From `-- if name` to `-- end` stands a choice, where `-- else` may divide it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

_CHOICE: Final = re.compile(r"^ *-- if (\w+)\n(.*?)(?:^ *-- else\n(.*?))?^ *-- end\n", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"^ *--.*\n", re.MULTILINE)
_PLACE: Final = re.compile(r"\{([a-z]\w*)(?: ([^{}]+))?\}")


def queries_in(folder: Path) -> Callable[..., str]:
    """What gives a query by the name of its file, and by its values: those that are True choose.

    All files are read here: what an upgrade of dbtend puts there later is nothing to a process that runs.
    """
    texts, parts = _texts(folder), _texts(folder / "parts")

    @cache
    def chosen(name: str, choices: frozenset[str]) -> str:
        def whole(text: str) -> str:
            text = _CHOICE.sub(lambda choice: choice[2] if choice[1] in choices else choice[3] or "", text)
            return _PLACE.sub(of_place, _COMMENT.sub("", text).strip())

        def of_place(place: re.Match[str]) -> str:
            if place[1] not in parts:
                return place[0]
            part = parts[place[1]]
            for number, argument in enumerate((place[2] or "").split("; "), start=1):
                part = part.replace(f"{{{number}}}", argument)
            return whole(part)

        return whole(texts[name])

    def query(name: str, /, **values: str | float) -> str:
        text = chosen(name, frozenset(value for value in values if values[value] is True))
        return _PLACE.sub(lambda place: str(values[place[1]]), text) if values else text

    return query


def _texts(folder: Path) -> Mapping[str, str]:
    return {file.stem: file.read_bytes().decode() for file in folder.glob("*.sql")}
