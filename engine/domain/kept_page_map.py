"""A page map as a short text, which is kept with a job."""

from __future__ import annotations

import json
import zlib
from base64 import b85decode, b85encode
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, Final

from engine.domain.frozen import frozen
from engine.domain.page_map import DAMAGED, FREE, INTERNAL, LONG_VALUES, UNSEEN, MappedObject, NotMapped, PageMap
from engine.domain.steps import NOT_MAPPED, PAGES_AFTER, PAGES_BEFORE

LONGEST: Final = 8_000
"""Characters of the text."""
_MOST_NAMED: Final = 20
_LONGEST_NAME: Final = 60
_LARGEST: Final = 100_000
"""Bytes of the text before it is packed."""
_MOST: Final = 2**40
"""The most of any number in the text: SQLite has at most 2**32 pages."""
_OBJECTS: Final = ascii_uppercase
_OTHERS: Final = {FREE: ".", LONG_VALUES: "~", UNSEEN: "?", INTERNAL: "=", DAMAGED: "!"}
_NO_FILL: Final = "-"
_FILLS: Final = "0123456789"
"""From an empty page to a full one."""
_OUT_OF_ORDER: Final = "abcdefghij"
"""From an empty page to a full one, for a page that does not follow the one before it."""
_FULLEST: Final = len(_FILLS) - 1


@frozen
class KeptMaps:
    """The maps of a file before and after an operation."""

    before: PageMap
    after: PageMap

    @property
    def largest(self) -> int:
        """Bytes of the larger file."""
        return max(self.before.size, self.after.size)


def kept_maps(facts: Mapping[str, Any] | None) -> KeptMaps | None:
    """The maps in the facts of an operation; None unless both are there."""
    before, after = (unpacked((facts or {}).get(name)) for name in (PAGES_BEFORE, PAGES_AFTER))
    return None if before is None or after is None else KeptMaps(before, after)


def why_not_mapped(facts: Mapping[str, Any] | None) -> NotMapped | None:
    found = (facts or {}).get(NOT_MAPPED)
    return NotMapped(found) if found in list(NotMapped) else None


def packed(found: PageMap) -> str:
    """The text of a map, with the names of the largest objects and ten steps of fills."""
    objects, numbers = _largest(found.objects)
    form = {
        "pages": found.pages,
        "page_size": found.page_size,
        "free": found.free_pages,
        "objects": [[one.name, one.is_index, one.pages, one.jumps, one.stands_for] for one in objects],
        "owners": "".join(_OTHERS[owner] if owner < 0 else _OBJECTS[numbers[owner]] for owner in found.owners),
        "fills": "".join(map(_fill_sign, found.fills, found.in_order)),
    }
    text = json.dumps(form, separators=(",", ":"))
    return b85encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(text: object) -> PageMap | None:
    """The map of a text of `packed`; None for another text: it may come from another version, or have been changed."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    try:
        form = json.loads(zlib.decompressobj().decompress(b85decode(text), _LARGEST))
        return _page_map(form)
    except (ValueError, TypeError, LookupError, ArithmeticError, zlib.error, RecursionError):
        return None


def _page_map(form: Any) -> PageMap | None:
    """Raises as `unpacked` catches."""
    objects = tuple(
        MappedObject(
            name=str(name),
            is_index=bool(index),
            pages=_count(pages),
            jumps=_count(jumps),
            stands_for=_count(stands_for),
        )
        for name, index, pages, jumps, stands_for in form["objects"]
    )
    of_sign = {sign: owner for owner, sign in _OTHERS.items()} | dict(zip(_OBJECTS, range(len(objects)), strict=False))
    signs = str(form["fills"])
    found = PageMap(
        pages=_count(form["pages"]),
        page_size=_count(form["page_size"]),
        free_pages=_count(form["free"]),
        owners=tuple(of_sign[sign] for sign in str(form["owners"])),
        fills=tuple(_fill(sign) for sign in signs),
        in_order=tuple(sign not in _OUT_OF_ORDER for sign in signs),
        objects=objects,
    )
    is_whole = found.owners and len(found.owners) == len(found.fills) and found.pages and found.page_size
    return found if is_whole else None


def _count(value: Any) -> int:
    if not 0 <= (number := int(value)) < _MOST:
        raise ValueError(value)
    return number


def _largest(objects: Sequence[MappedObject]) -> tuple[list[MappedObject], list[int]]:
    """The largest objects, then the others as one of each kind; and the new number of each."""
    by_size = sorted(range(len(objects)), key=lambda number: -objects[number].pages)
    named, others = by_size[:_MOST_NAMED], by_size[_MOST_NAMED:]
    kept = [_named(objects[number]) for number in named]
    numbers = dict(zip(named, range(len(named)), strict=True))
    for is_index in (False, True):
        small = [number for number in others if objects[number].is_index is is_index]
        if small:
            numbers |= dict.fromkeys(small, len(kept))
            kept.append(
                MappedObject(
                    name="",
                    is_index=is_index,
                    pages=sum(objects[number].pages for number in small),
                    jumps=sum(objects[number].jumps for number in small),
                    stands_for=len(small),
                )
            )
    return kept, [numbers[number] for number in range(len(objects))]


def _named(one: MappedObject) -> MappedObject:
    name = one.name if len(one.name) <= _LONGEST_NAME else one.name[: _LONGEST_NAME - 1] + "…"
    return MappedObject(name=name, is_index=one.is_index, pages=one.pages, jumps=one.jumps)


def _fill_sign(fill: float | None, in_order: bool) -> str:
    if fill is None:
        return _NO_FILL
    return (_FILLS if in_order else _OUT_OF_ORDER)[round(min(max(fill, 0.0), 1.0) * _FULLEST)]


def _fill(sign: str) -> float | None:
    if sign == _NO_FILL:
        return None
    return (_FILLS + _OUT_OF_ORDER).index(sign) % len(_FILLS) / _FULLEST
