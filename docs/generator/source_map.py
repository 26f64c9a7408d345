"""Every module of dbtend with the first line of what it says of itself, and every file of SQL functions: `make map`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def source_map() -> Iterator[str]:
    for folder in ("engine", "tui"):
        for file in sorted((ROOT / folder).rglob("*")):
            if summary := _summary(file):
                yield f"{file.relative_to(ROOT)}: {summary.splitlines()[0]}"


def _summary(file: Path) -> str:
    if file.suffix == ".py":
        return ast.get_docstring(ast.parse(file.read_bytes())) or ""
    if file.suffix == ".sql" and file.parent.name == "functions":
        return file.read_text(encoding="utf-8").removeprefix("-- ")
    return ""


if __name__ == "__main__":
    print("\n".join(source_map()))
