"""Finds the damaged table or index from the text of a check and the schema: pure functions.

A check names the root page of a tree, or the page alone. Damage of an index that stays within its pages loses nothing:
REINDEX reads the table, and frees the pages by their links, which are intact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from engine.domain.frozen import frozen

OWNERS: Final = "SELECT DISTINCT pageno, name FROM temp.dbstat('main') WHERE pageno IN ({})"
SCHEMA_PAGE: Final = 1

_IN_A_TREE: Final = re.compile(r"Tree (?P<tree>\d+) (?P<where>page \d+[^:]*): (?P<what>.*)", re.DOTALL)
_ON_A_PAGE: Final = re.compile(
    r"(?:Multiple uses for byte \d+ of|Fragmentation of \d+ bytes reported as \d+ on) page (?P<page>\d+)"
)
_NAMED: Final = re.compile(r"(?:Tree \d+|On tree) page (?P<page>\d+)|Page (?P<alone>\d+): ")
_WITHIN_A_PAGE: Final = re.compile(r"free space corruption|Extends off end of page|Offset \d+ out of range [-\d.]+")


@frozen
class Tree:
    """A table or index that has pages of its own."""

    name: str
    is_index: bool


@frozen(kw_only=True)
class DamagedPlace:
    """Where the damage is that a finding of a check reports."""

    tree: Tree
    sentence: str
    """The finding, with the name of the tree."""
    is_within_a_page: bool
    """Whether the damage loses no page and shares none with another tree."""

    @property
    def index_to_rebuild(self) -> str | None:
        return self.tree.name if self.tree.is_index and self.is_within_a_page else None


def pages_without_tree(sentences: Iterable[str]) -> list[int]:
    """The pages that findings name without their tree."""
    found = (_ON_A_PAGE.fullmatch(sentence) for sentence in sentences)
    return sorted({int(match["page"]) for match in found if match is not None})


def named_pages(sentences: Iterable[str]) -> list[int]:
    """The pages that findings name."""
    found = (_NAMED.match(sentence) or _ON_A_PAGE.fullmatch(sentence) for sentence in sentences)
    pages = (match.groupdict() for match in found if match is not None)
    return sorted({int(page["page"] or page["alone"]) for page in pages})


def names_a_page(sentence: str) -> bool:
    return bool(_IN_A_TREE.match(sentence) or _ON_A_PAGE.fullmatch(sentence))


def locate(sentences: Iterable[str], trees: Mapping[int, Tree], owners: Mapping[int, Tree]) -> dict[str, DamagedPlace]:
    """The place of each finding, if known. `trees`: by root page; `owners`: by any page."""
    found = ((sentence, _place(sentence, trees, owners)) for sentence in sentences)
    return {sentence: place for sentence, place in found if place is not None}


def _place(sentence: str, trees: Mapping[int, Tree], owners: Mapping[int, Tree]) -> DamagedPlace | None:
    if (match := _IN_A_TREE.fullmatch(sentence)) is not None:
        tree, what = trees.get(int(match["tree"])), f"{match['where']}: {match['what']}"
        is_within = _WITHIN_A_PAGE.fullmatch(match["what"]) is not None
    elif (match := _ON_A_PAGE.fullmatch(sentence)) is not None:
        tree, what, is_within = owners.get(int(match["page"])), sentence, True
    else:
        return None
    if tree is None:
        return None
    kind = "index" if tree.is_index else "table"
    return DamagedPlace(tree=tree, sentence=f"{kind} {tree.name}: {what}", is_within_a_page=is_within)
