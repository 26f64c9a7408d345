"""The generated files, and the pages with generated blocks, as they must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from docs.generator import command_line, config, keys, make_targets, man_page, operations, pictures
from docs.generator.tables import Block

DOCS: Final = Path(__file__).parents[1]
MAN_PAGE: Final = DOCS / "dbtend.1"
PICTURES: Final = DOCS / "explanation"
BLOCKS: Final[Mapping[str, Block]] = {
    **operations.BLOCKS,
    **command_line.BLOCKS,
    **config.BLOCKS,
    **keys.BLOCKS,
    **make_targets.BLOCKS,
}
_BLOCK: Final = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def generated_files() -> dict[Path, str]:
    """The text of each file that is generated, whole or in part."""
    files = {page: with_blocks(page.read_text(encoding="utf-8")) for page in sorted(DOCS.rglob("*.md"))}
    drawn = {PICTURES / "house.svg": pictures.house(), PICTURES / "way-of-a-job.svg": pictures.way_of_a_job()}
    return {**files, **drawn, MAN_PAGE: man_page.man_page()}


def with_blocks(page: str) -> str:
    """The page with each of its blocks generated again. Raises KeyError for an unknown block."""
    return _BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}\n{found[3]}", page)


def blocks_of(page: str) -> list[str]:
    """The names of the generated blocks on a page."""
    return [found[2] for found in _BLOCK.finditer(page)]
