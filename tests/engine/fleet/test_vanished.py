"""Databases that patterns stood for lately, and do not find any more."""

from __future__ import annotations

from typing import Final

import pytest

from engine.domain.requests import EngineName
from engine.domain.surveys import FleetLevel, Survey
from engine.fleet.vanished import LATELY, vanished

NOW: Final = 1_000_000_000_000_000
FILES: Final = ("sqlite:///srv/t1.db", "sqlite:///srv/t2.db", "sqlite:///srv/eu/t3.db")
ON_SERVER: Final = ("postgresql://db1/a1", "postgresql://db1/a2", "postgresql://db2/a1")


def survey(target: str, age: int = 0) -> Survey:
    engine = EngineName.SQLITE if target.startswith("sqlite") else EngineName.POSTGRESQL
    return Survey(target=target, engine=engine, surveyed_at=NOW - age, level=FleetLevel.OK)


@pytest.mark.parametrize(
    ("pattern", "exclude", "there", "unlisted", "gone"),
    [
        ("sqlite:///srv/*.db", (), (), (), FILES[:2]),
        ("sqlite:///srv/*.db", (), FILES[:1], (), FILES[1:2]),
        ("sqlite:///srv/*.db", ("t1*",), (), (), FILES[1:2]),
        ("sqlite:///srv/**/*.db", (), (), ("sqlite:///srv/eu",), FILES[:2]),
        ("sqlite:///srv", (), (), (), (FILES[2], *FILES[:2])),
        ("sqlite:///other/*.db", (), (), (), ()),
        ("postgresql://db1/*", (), ON_SERVER[:1], (), ON_SERVER[1:2]),
        ("postgresql://db1/b*", (), (), (), ()),
    ],
)
def test_those_are_gone_that_a_listed_pattern_stands_for(
    pattern: str, exclude: tuple[str, ...], there: tuple[str, ...], unlisted: tuple[str, ...], gone: tuple[str, ...]
) -> None:
    surveys = [survey(url) for url in (*FILES, *ON_SERVER)]
    assert vanished(surveys, [(pattern, exclude)], there, unlisted, NOW) == list(gone)


def test_one_that_was_surveyed_long_ago_is_no_longer_told() -> None:
    surveys = [survey(FILES[0], LATELY), survey(FILES[1], LATELY + 1)]
    assert vanished(surveys, [("sqlite:///srv/*.db", ())], (), (), NOW) == [FILES[0]]
