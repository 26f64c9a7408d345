"""The pages of the documentation, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_BLOCK: Final = re.compile(r"(?:^<!-- ([^>]+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT_CODE: Final = re.compile(r"\s+# exit code (\d+)$")
_MARKS: Final = re.compile(r"server|make|not run: .+")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str
    mark: str
    """The comment before it: `server`, `make`, `not run: REASON`, or nothing."""


@dataclass(frozen=True)
class Command:
    """A line of a console block."""

    line: str
    exit_code: int
    mark: str


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        mark = found[1] or ""
        yield Block(found[2], found[3], mark if _MARKS.fullmatch(mark) else "")


def commands(block: Block) -> Iterator[Command]:
    """What a block tells people to type, in order."""
    if block.language == "console":
        for line in block.text.splitlines():
            assert line.startswith("$ "), f"{line!r} is no command: what it prints belongs into a block of text"
            expected = _EXIT_CODE.search(line)
            typed = _EXIT_CODE.sub("", line).removeprefix("$ ")
            yield Command(typed, int(expected[1]) if expected else 0, block.mark)


def commands_of(page: Path) -> list[Command]:
    return [command for block in blocks(page) for command in commands(block)]
