"""A page map is kept as a short text, and what is no such text is no map."""

from __future__ import annotations

import base64
import json
import random
import string
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.kept_page_map import LONGEST, KeptMaps, kept_maps, packed, unpacked, why_not_mapped
from engine.domain.page_map import DAMAGED, FREE, INTERNAL, LONG_VALUES, UNSEEN, MappedObject, NotMapped, PageMap
from engine.domain.steps import NOT_MAPPED, PAGES_AFTER, PAGES_BEFORE


def example(objects: int = 3, places: int = 1_024, name: str = "t{}") -> PageMap:
    """Nothing of it repeats: the longest text."""
    chance = random.Random(1)
    owners = [chance.choice([FREE, LONG_VALUES, UNSEEN, INTERNAL, DAMAGED, *range(objects)]) for _ in range(places)]
    return PageMap(
        pages=10 * places,
        page_size=4096,
        free_pages=7,
        owners=tuple(owners),
        fills=tuple(None if owner < 0 else chance.random() for owner in owners),
        in_order=tuple(owner < 0 or chance.random() < 0.5 for owner in owners),
        objects=tuple(
            MappedObject(name=name.format(number), is_index=bool(number % 2), pages=1_000 - number, jumps=number)
            for number in range(objects)
        ),
    )


def packed_form(form: object) -> str:
    return base64.b85encode(zlib.compress(json.dumps(form).encode())).decode()


def form_of(text: str) -> dict[str, object]:
    form: dict[str, object] = json.loads(zlib.decompress(base64.b85decode(text)))
    return form


def test_what_is_kept_is_the_map_with_rounded_fills() -> None:
    found = example()
    kept = unpacked(packed(found))
    assert kept is not None
    assert replace(kept, fills=found.fills) == found
    for fill, its in zip(found.fills, kept.fills, strict=True):
        assert (fill is None and its is None) or its == pytest.approx(fill, abs=0.056)
    assert packed(kept) == packed(found)


def test_of_many_objects_the_largest_keep_their_names() -> None:
    found = example(200)
    kept = unpacked(packed(found))
    assert kept is not None
    assert [one.name for one in kept.objects] == [*(f"t{number}" for number in range(20)), "", ""]
    assert [one.stands_for for one in kept.objects] == [1] * 20 + [90, 90]
    assert sum(one.pages for one in kept.objects) == sum(one.pages for one in found.objects)
    is_index = [owner >= 0 and found.objects[owner].is_index for owner in found.owners]
    assert [owner >= 0 and kept.objects[owner].is_index for owner in kept.owners] == is_index


@pytest.mark.parametrize("letter", ["x", "\ud83d\ude00", "\U0001f600", "\x00", '"'])
def test_the_text_is_short_whatever_the_names_are(letter: str) -> None:
    chance = random.Random(2)
    found = example(500)
    names = ["".join(chance.choices(string.printable, k=1_000)) + letter * 1_000 for _ in found.objects]
    found = replace(
        found, objects=tuple(replace(one, name=name) for one, name in zip(found.objects, names, strict=True))
    )
    text = packed(found)
    assert len(text) < LONGEST
    assert text.isascii()
    assert unpacked(text) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"owners": ""},
        {"owners": "AAA", "fills": "00"},
        {"owners": "Z", "fills": "0"},
        {"owners": "A", "fills": "!"},
        {"pages": 0},
        {"pages": 1e999},
        {"pages": 10**300},
        {"free": -1},
        {"page_size": 0},
        {"pages": "many"},
        {"objects": [["t", False]]},
        {"objects": 7},
        {"fills": None},
    ],
)
def test_what_was_changed_is_no_map(change: dict[str, object]) -> None:
    form = form_of(packed(example()))
    assert unpacked(packed_form(form)) is not None
    assert unpacked(packed_form(form | change)) is None


@pytest.mark.parametrize(
    "text", [None, 7, "", "no map", "€", packed_form([]), packed_form("x" * 10**7), packed_form({}), "0" * 100_000]
)
def test_anything_else_is_no_map(text: object) -> None:
    assert unpacked(text) is None


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    assert unpacked(text) is None


def test_maps_are_found_in_facts_if_both_are_there() -> None:
    before, after = packed(example()), packed(example(2))
    found = kept_maps({"size": 7, PAGES_BEFORE: before, PAGES_AFTER: after})
    assert isinstance(found, KeptMaps)
    assert (packed(found.before), packed(found.after)) == (before, after)
    for facts in (None, {}, {PAGES_BEFORE: before}, {PAGES_BEFORE: before, PAGES_AFTER: 7}):
        assert kept_maps(facts) is None


def test_why_there_is_none_is_told() -> None:
    assert why_not_mapped({NOT_MAPPED: "slow"}) is NotMapped.SLOW
    for facts in (None, {}, {NOT_MAPPED: "of another version"}, {NOT_MAPPED: 7}):
        assert why_not_mapped(facts) is None
