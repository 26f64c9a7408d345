"""Rows of known damage."""

from __future__ import annotations

from engine.domain.damage import WHOLE_DATABASE
from engine.store.damage_rows import damaged_targets, decoded_damage


def test_a_row_of_a_newer_version_is_damage_of_the_whole_database_and_says_what_to_do() -> None:
    rows = [("sqlite:///srv/t1.db", "item", "a source to come", 1, "{}")]
    ((damage,),) = decoded_damage(rows).values()
    assert damage.object == WHOLE_DATABASE
    assert "update dbtend on this host" in damage.text
    assert damaged_targets(rows) == {"sqlite:///srv/t1.db"}
