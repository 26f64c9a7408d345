"""Values are equal, hashed, shown and copied as dataclasses are."""

from __future__ import annotations

import copy
import pickle
from dataclasses import KW_ONLY, FrozenInstanceError, asdict, field, replace
from typing import Any

import pytest

from engine.domain.frozen import frozen


@frozen
class Point:
    x: int
    y: int = 0
    tags: dict[str, int] = field(default_factory=dict, kw_only=True)


@frozen(kw_only=True)
class Name:
    first: str


@frozen(order=True)
class Version:
    major: int
    minor: int


@frozen
class Other:
    first: str


@frozen
class Nothing:
    pass


@frozen
class Place(Point):
    name: str = ""
    _: KW_ONLY
    of: tuple[str, ...] = field(default_factory=tuple)


def test_a_value_of_a_subclass_has_the_fields_of_both() -> None:
    place = Place(1, 2, "home", tags={"a": 1}, of=("b",))
    assert (place.x, place.y, place.name, place.tags, place.of) == (1, 2, "home", {"a": 1}, ("b",))
    assert Place(1) == Place(1, 0) != Point(1)


def test_values_with_the_same_fields_are_the_same() -> None:
    assert Point(1) == Point(1, 0)
    assert Point(1) != Point(1, 2)
    assert {Name(first="a"), Name(first="a")} == {Name(first="a")}
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


def test_values_are_sorted_by_their_fields() -> None:
    assert sorted([Version(2, 0), Version(1, 5), Version(1, 4)]) == [Version(1, 4), Version(1, 5), Version(2, 0)]
    assert Version(1, 4) <= Version(1, 4) < Version(1, 5)
    assert Version(2, 0) >= Version(2, 0) > Version(1, 5)


def test_values_of_two_kinds_are_never_the_same() -> None:
    other: object = Other("a")
    assert Name(first="a") != other
    assert len({Name(first="a"), other}) == 2


def test_a_value_shows_its_fields() -> None:
    assert repr(Point(1, tags={"a": 2})) == "Point(x=1, y=0, tags={'a': 2})"
    assert repr(Nothing()) == "Nothing()"


def test_a_value_is_replaced_taken_apart_and_copied_like_a_dataclass() -> None:
    point = Point(1, 2)
    assert replace(point, y=3) == Point(1, 3)
    assert asdict(point) == {"x": 1, "y": 2, "tags": {}}
    assert copy.deepcopy(point) == point == pickle.loads(pickle.dumps(point))  # noqa: S301 - our own


def test_a_value_has_no_room_for_anything_else() -> None:
    assert not hasattr(Point(1), "__dict__")
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_no_field_of_a_value_can_be_set_or_deleted() -> None:
    place: Any = Place(1, 2, "home")
    with pytest.raises(FrozenInstanceError):
        place.x = 5
    with pytest.raises(FrozenInstanceError):
        place.z = 1
    with pytest.raises(FrozenInstanceError):
        del place.name
    assert place == Place(1, 2, "home")


def test_a_value_is_of_its_own_class_and_a_call_without_a_field_names_it() -> None:
    assert (type(Place(1)), type(Point(1)), type(Nothing())) == (Place, Point, Nothing)
    with pytest.raises(TypeError, match=r"Point.__init__\(\) missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]
