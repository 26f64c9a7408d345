"""The units in the pages: systemd itself reads them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, blocks, name_of

UNITS = {
    name_of(page): block.text
    for page in PAGES
    for block in blocks(page)
    if block.language == "ini" and "[Service]" in block.text
}


def complaints(systemd_analyze: str, unit: Path) -> list[str]:
    """What systemd says of it; as a unit of the system, as it needs no session for that."""
    said = subprocess.run(
        [systemd_analyze, "verify", "--system", "--man=no", unit], capture_output=True, text=True, check=False
    )
    return [line for line in said.stderr.splitlines() if unit.name in line]


@pytest.mark.parametrize("page", UNITS)
def test_the_unit_of_a_page_is_sound(page: str, systemd_analyze: str, tmp_path: Path) -> None:
    unit = tmp_path / "dbtend.service"
    here = re.sub(r"(?m)^ExecStart=\S+/dbtend ", "ExecStart=/usr/bin/env dbtend ", UNITS[page])
    unit.write_text(here)
    assert complaints(systemd_analyze, unit) == []
    unit.write_text(f"{here}\n[Service]\nKillMode=nonsense\n")
    assert complaints(systemd_analyze, unit) != []


def test_the_pages_of_workers_have_one() -> None:
    assert {"docs/how-to/from-one-machine-to-many.md", "docs/how-to/keep-a-worker-running.md"} <= UNITS.keys()
