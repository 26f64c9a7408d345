"""Filter words select some of many targets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.config.model import TargetEntry
from engine.domain.engines import EngineName
from engine.domain.errors import UsageError
from engine.domain.surveys import FleetLevel, Survey
from engine.fleet.filters import fleet_filter, is_filter_word

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000
ENTRY = TargetEntry(name="Sales-EU", url="/srv/sales.db", label="Prod", groups=("eu", "shops"))
SURVEY = Survey(
    target="sqlite:///srv/sales.db",
    engine=EngineName.SQLITE,
    surveyed_at=NOW,
    level=FleetLevel.NOW,
    size=2_000_000_000,
    checked_at=NOW - 10 * DAY,
)


@pytest.mark.parametrize(
    "line",
    [
        "", "sales", "SALES eu", "@eu", "@shops", "@Sales-EU", "@us @eu", "engine:sqlite", "engine:postgresql,sqlite",
        "level:now", "level:NOW", "level:soon level:now", "level:soon,now", "label:PROD", "label:test,prod",
        "size:>1GB", "size:>=2GB", "size:<2.1GB", "size:>1GB size:<3GB", "checked:>7d", "checked:<30d", "checked:>=10d",
        "@eu level:now sales size:>1MB checked:<12w engine:sqlite label:prod",
    ],
)  # fmt: skip
def test_what_matches(line: str) -> None:
    assert fleet_filter(line.split()).matches(ENTRY, SURVEY, NOW)


@pytest.mark.parametrize(
    "line",
    [
        "shop", "sales us", "@us", "@SHOPS", "engine:postgresql", "level:ok", "level:critical,soon", "label:test",
        "size:>2GB", "size:<1GB", "size:>1GB size:<2GB", "checked:>30d", "checked:<7d", "checked:never",
        "@eu level:ok", "srv",
    ],
)  # fmt: skip
def test_what_does_not_match(line: str) -> None:
    assert not fleet_filter(line.split()).matches(ENTRY, SURVEY, NOW)


def test_a_target_that_was_never_checked_is_older_than_any_age() -> None:
    never = replace(SURVEY, checked_at=None)
    for line, is_meant in (("checked:>30d", True), ("checked:never", True), ("checked:<30d", False)):
        assert fleet_filter([line]).matches(ENTRY, never, NOW) is is_meant


def test_a_target_that_was_never_surveyed_has_neither_level_nor_size() -> None:
    for line, is_meant in (
        ("sales", True), ("@eu", True), ("label:prod", True), ("checked:never", True),
        ("level:unknown", False), ("size:<1GB", False), ("engine:sqlite", True),
    ):  # fmt: skip
        assert fleet_filter([line]).matches(ENTRY, None, NOW) is is_meant


@pytest.mark.parametrize(
    ("word", "why", "hint"),
    [
        ("level:", "needs a value", "critical, now, soon"),
        ("level:nwo", "is no level", "did you mean now?"),
        ("level:x", "is no level", "known: critical"),
        ("engine:oracle", "is no engine", "known: sqlite, "),
        ("size:1GB", "cannot be compared", "such as >1GB"),
        ("size:>big", "cannot be compared", "such as >1GB"),
        ("size:>", "cannot be compared", "such as >1GB"),
        ("checked:>1", "cannot be compared", "such as >30d"),
        ("checked:yesterday", "cannot be compared", "or never"),
        ("lvel:now", "lvel: is nothing to look for", "did you mean level:?"),
        ("colour:red", "colour: is nothing to look for", "known: engine:, level:"),
    ],
)
def test_a_wrong_word_says_what_is_known(word: str, why: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        fleet_filter([word])
    assert (caught.value.what, caught.value.why) == (word, why)
    assert hint in caught.value.hint


@pytest.mark.parametrize("word", ["level:now", "size:>1GB", "checked:never", "engine:sqlite", "label:PROD", "level:"])
def test_words_that_filter(word: str) -> None:
    assert is_filter_word(word)


@pytest.mark.parametrize(
    "word",
    [
        "sales",
        "sqlite:sales.db",
        "duckdb:sales.db",
        "DuckDB:/srv/a.db",
        "sqlite:///srv/a.db",
        "postgresql://a/b",
        "/srv/a:b.db",
        "@eu",
        "C:x",
        "engine://x",
    ],
)
def test_words_that_name_targets(word: str) -> None:
    assert not is_filter_word(word)
