"""Whether a pattern stands for a target, without a look at the disk or a server."""

from __future__ import annotations

import pytest

from engine.fleet.patterns import member_name


@pytest.mark.parametrize(
    ("pattern", "url", "name"),
    [
        ("sqlite:///srv/*.db", "sqlite:///srv/t1.db", "t1"),
        ("sqlite:///srv/*.db", "sqlite:///srv/a/t1.db", ""),
        ("sqlite:///srv/**/*.db", "sqlite:///srv/a/b/t1.db", "t1"),
        ("sqlite:///srv/**/*.db", "sqlite:///srv/t1.db", "t1"),
        ("sqlite:///srv/**", "sqlite:///srv/a/t1.data", "t1.data"),
        ("sqlite:///srv", "sqlite:///srv/a/t1.db", "t1"),
        ("sqlite:///srv", "sqlite:///srv2/t1.db", ""),
        ("sqlite:///srv/t1.db", "sqlite:///srv/t1.db", ""),
        ("sqlite:///srv/*.db", "sqlite:///srv/a%20b%23.db", "a b#"),
        ("postgresql://dba@db1:5432/%2A", "postgresql://dba@db1:5432/shop", "shop"),
        ("postgresql://dba@db1:5432/app_%2A", "postgresql://dba@db1:5432/shop", ""),
        ("postgresql://dba@db1:5432/%2A", "postgresql://dba@db2:5432/shop", ""),
        ("postgresql://dba@db1:5432/shop", "postgresql://dba@db1:5432/shop", ""),
        ("sqlite:///srv", "postgresql://dba@db1:5432/shop", ""),
        ("postgresql://dba@:5432/%2A?host=/tmp/x", "postgresql://dba@:5432/a%2Fb?host=/tmp/x", "a/b"),
    ],
)
def test_whether_a_pattern_stands_for_it(pattern: str, url: str, name: str) -> None:
    assert member_name(pattern, url) == name


def test_what_is_excluded_is_no_member() -> None:
    assert member_name("sqlite:///srv/*.db", "sqlite:///srv/t1.db", ["t1"]) == ""
    assert member_name("postgresql://db1/%2A", "postgresql://db1/test_1", ["test_*"]) == ""
