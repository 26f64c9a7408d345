"""The names by which lists show targets find these targets."""

from __future__ import annotations

import pytest

from engine.domain.events import has_name_part, is_listed_as
from tui.presentation.plain_names import PlainNames

SERVER = "postgresql://ann@db1:5432/shop"
URLS = (
    "sqlite:///srv/sales.db",
    "sqlite://h2/srv/a%20b.db",
    SERVER,
    "postgresql://bob@db1:5432/shop",
    "postgresql://bob@db3:5433/shop",
    "mysql://dba@localhost/crm?socket=/run/m1/s.sock",
    "mysql://dba@localhost/crm?socket=/run/m2/s.sock",
    "mysql://dba@db2:3306/crm",
)


def test_each_target_is_found_by_the_name_that_lists_show() -> None:
    names = PlainNames(URLS)
    shown = {url: names.of(url) for url in URLS}
    assert len({*shown.values()}) == len(URLS)
    for url, name in shown.items():
        found = [one for one in URLS if is_listed_as(one, name)]
        assert found == [one for one in URLS if has_name_part(one, name)]
        assert found == [url], name


@pytest.mark.parametrize(
    ("name", "is_whole"),
    [("shop", True), ("shop@db1", True), ("SHOP@db1:5432", True), ("sho", False), ("hop@db1", False)],
)
def test_a_part_is_less_than_a_name(name: str, *, is_whole: bool) -> None:
    assert is_listed_as(SERVER, name) is is_whole
    assert has_name_part(SERVER, name)


@pytest.mark.parametrize("name", ["shop@db2", "shop (bob)@db1", "stock", "shop@db1:5433"])
def test_other_names_do_not_fit(name: str) -> None:
    assert not has_name_part(SERVER, name)
    assert not is_listed_as(SERVER, name)
