"""The targets of make, by what the Makefile says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from docs.generator.tables import Block, code, table

MAKEFILE: Final = Path(__file__).parents[2] / "Makefile"


def make_targets() -> str:
    targets = re.findall(r"^([a-z]+):.*## (.*)$", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    return table(["command", "what it does"], ([code(f"make {name}"), meaning] for name, meaning in targets))


BLOCKS: Final[Mapping[str, Block]] = {"make-targets": make_targets}
