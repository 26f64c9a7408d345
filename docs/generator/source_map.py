"""Every module of dbtend and what it is for, by the first line of its docstring: `make map`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def source_map() -> Iterator[str]:
    for folder in ("engine", "tui"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            summary = ast.get_docstring(ast.parse(file.read_bytes())) or ""
            if summary:
                yield f"{file.relative_to(ROOT)}: {summary.splitlines()[0]}"


if __name__ == "__main__":
    print("\n".join(source_map()))
