"""Queries in files: the folder `queries/` of each engine has one for each query, `parts/` what several have in common.

Comments are not sent. `{name}` is a value that Python gives, or else the part of that name; `{part x; y}` is that part
with x and y for its `{1}` and `{2}`. From `-- if name` to `-- end` stands a choice, where `-- else` may divide it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

_CHOICE: Final = re.compile(r"^ *-- if (\w+)\n(.*?)(?:^ *-- else\n(.*?))?^ *-- end\n", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"^ *--.*\n", re.MULTILINE)
_PLACE: Final = re.compile(r"\{([a-z]\w*)(?: ([^{}]+))?\}")


def queries_in(folder: Path) -> Callable[..., str]:
    """What gives a query by the name of its file, and by its values.

    All files are read here: what an upgrade of dbtend puts there later is nothing to a process that runs.
    """
    texts, parts = _texts(folder), _texts(folder / "parts")

    @cache
    def query(name: str, **values: str | float) -> str:
        def filled(text: str) -> str:
            text = _CHOICE.sub(lambda choice: choice[2] if values[choice[1]] else choice[3] or "", text)
            return _PLACE.sub(of_place, _COMMENT.sub("", text).strip())

        def of_place(place: re.Match[str]) -> str:
            if place[1] in values:
                return str(values[place[1]])
            part = parts[place[1]]
            for number, argument in enumerate((place[2] or "").split("; "), start=1):
                part = part.replace(f"{{{number}}}", argument)
            return filled(part)

        return filled(texts[name])

    return query


def _texts(folder: Path) -> Mapping[str, str]:
    with os.scandir(folder) as files:
        return {
            file.name.removesuffix(".sql"): Path(file).read_text(encoding="utf-8")
            for file in files
            if file.name.endswith(".sql")
        }
