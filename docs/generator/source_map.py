"""Every module of dbtend with what it says of itself first, and every file of SQL functions: `make map`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def source_map() -> Iterator[str]:
    for folder in ("engine", "tui"):
        for file in sorted((ROOT / folder).rglob("*")):
            if summary := _summary(file):
                yield f"{file.relative_to(ROOT)}: {' '.join(summary.split())}"


def _summary(file: Path) -> str:
    """Its first paragraph, and a second of one line."""
    if file.suffix == ".py":
        first, _, rest = (ast.get_docstring(ast.parse(file.read_bytes())) or "").partition("\n\n")
        second = rest.partition("\n\n")[0]
        return first if "\n" in second else f"{first} {second}".strip()
    if file.suffix == ".sql" and file.parent.name == "functions":
        comment = takewhile(lambda line: line.startswith("-- "), file.read_text(encoding="utf-8").splitlines())
        return " ".join(line.removeprefix("-- ") for line in comment)
    return ""


if __name__ == "__main__":
    print("\n".join(source_map()))
