"""Databases of one server that are near the wraparound."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.advice import Advice, ByHand, Level
from engine.domain.requests import Operation
from engine.inspection.neighbors import neighbors_once
from engine.targets.postgres.advising.old_neighbors import by_hand, with_invalid

SERVER = "postgresql://dba@db1:5432/"


def near(*neighbors: str) -> Sequence[Advice]:
    allowed = {name: name != "template0" for name in neighbors}
    return [Advice(operation=Operation.VACUUM, level=Level.NOW, reason="old", by_hand=by_hand(allowed))]


def named(advised: Sequence[tuple[str, Sequence[Advice]]]) -> list[list[str]]:
    told = [advice[0].by_hand for advice in neighbors_once(advised)]
    for one in told:
        assert one is None or all(name in one.reason for name in one.neighbors)
    return [[*one.neighbors] if one is not None else [] for one in told]


def test_a_neighbor_is_named_once_and_not_where_it_is_a_target_itself() -> None:
    shop, sales = (SERVER + "shop", near("sales", "template0", "old")), (SERVER + "sales", near("shop", "template0"))
    assert named([shop, sales]) == [["template0", "old"], []]
    assert named([sales, shop]) == [["template0"], ["old"]]
    assert named([shop]) == [["sales", "template0", "old"]]


def test_another_server_has_neighbors_of_its_own() -> None:
    here, there = (SERVER + "shop", near("sales")), ("postgresql://dba@db2:5432/sales", near("shop"))
    file = "/srv/a.db", [Advice(operation=Operation.VACUUM, level=Level.NONE, reason="dense")]
    assert named([here, file, there]) == [["sales"], [], ["shop"]]


def test_a_half_dropped_neighbor_is_named_once_and_a_further_one_beside_it() -> None:
    duplicates = ByHand(level=Level.NONE, reason="two duplicates one")

    def half_dropped(*names: str) -> Sequence[Advice]:
        found = with_invalid(duplicates, names)
        return [Advice(operation=Operation.CLEAN_LEFTOVERS, level=Level.NONE, reason="none", by_hand=found)]

    advised = [
        (SERVER + "x", half_dropped("a")),
        (SERVER + "y", half_dropped("a", "b")),
        (SERVER + "z", half_dropped("a")),
    ]
    assert [advice[0].by_hand for advice in neighbors_once(advised)] == [
        with_invalid(duplicates, ["a"]), with_invalid(duplicates, ["b"]), duplicates,
    ]  # fmt: skip
