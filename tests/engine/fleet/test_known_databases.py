"""Databases that the store knows, and that a pattern does not find any more."""

from __future__ import annotations

from typing import Final

import pytest

from engine.fleet.known_databases import not_found
from engine.inspection import inspector

FILES: Final = ("sqlite:///srv/t1.db", "sqlite:///srv/t2.db", "sqlite:///srv/eu/t3.db")
ON_SERVER: Final = ("postgresql://db1/a1", "postgresql://db1/a2", "postgresql://db2/a1")


def canonical(urls: tuple[str, ...]) -> list[str]:
    return [inspector.canonical_url(url) for url in urls]


@pytest.mark.parametrize(
    ("pattern", "there", "gone"),
    [
        ("/srv/*.db", (), FILES[:2]),
        ("/srv/*.db", ("/srv/t1.db",), FILES[1:2]),
        ("/srv/**/*.db", ("/srv/t1.db",), (FILES[2], FILES[1])),
        ("/srv", (), (FILES[2], *FILES[:2])),
        ("/other/*.db", (), ()),
        ("/srv/t1.db", (), ()),
        ("postgresql://db1/*", ON_SERVER[:1], ON_SERVER[1:2]),
        ("postgresql://db1/b*", (), ()),
    ],
)
def test_those_are_gone_that_a_pattern_stands_for(pattern: str, there: tuple[str, ...], gone: tuple[str, ...]) -> None:
    assert not_found(pattern, [*FILES, *canonical(ON_SERVER)], there) == canonical(gone)
