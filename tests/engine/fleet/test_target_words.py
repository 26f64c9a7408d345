"""Which targets of the config file words stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.parser import parse_config
from engine.domain.errors import UsageError
from engine.fleet.target_words import entries_named

CONFIG = parse_config(
    """
[targets.shop1]
url = "postgresql://db1/shop"
groups = ["eu"]
[targets.shop2]
url = "postgresql://db2/shop"
groups = ["eu-west"]
[targets."odd[1]"]
url = "postgresql://db1/odd"
""",
    "f",
)


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("shop*", ["shop1", "shop2"]),
        ("shop[13]", ["shop1"]),
        ("@eu", ["shop1"]),
        ("@eu*", ["shop1", "shop2"]),
        ("@*1", ["shop1"]),
        ("odd[1]", ["odd[1]"]),
        ("./shop*", ["./shop*"]),
        ("other*", ["other*"]),
    ],
)
def test_a_pattern_stands_for_names_of_the_config_file_before_files(word: str, names: list[str]) -> None:
    assert [entry.name for entry in entries_named([word], CONFIG)] == names


def test_a_pattern_of_groups_that_matches_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no group"):
        entries_named(["@us*"], CONFIG)
