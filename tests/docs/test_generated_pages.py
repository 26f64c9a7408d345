"""What docs/ repeats from the code is as the code says it now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generator.files import BLOCKS, DOCS, blocks_of, generated_files, with_blocks


@pytest.mark.parametrize(("file", "text"), generated_files().items(), ids=lambda value: getattr(value, "name", ""))
def test_a_page_is_as_the_generator_writes_it(file: Path, text: str) -> None:
    assert file.read_text(encoding="utf-8") == text, "it is out of date: make docs"


def test_every_generated_block_has_its_place_on_one_page() -> None:
    pages = (page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    assert sorted(name for page in pages for name in blocks_of(page)) == sorted(BLOCKS)


def test_a_block_that_nothing_generates_is_an_error() -> None:
    with pytest.raises(KeyError):
        with_blocks("<!-- generated: no-such-block -->\n<!-- end -->")


def test_no_marker_is_mistyped() -> None:
    for page in DOCS.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert len(re.findall(r"^<!-- (?:generated|end)", text, re.MULTILINE)) == 2 * len(blocks_of(text)), page
