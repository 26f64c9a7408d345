"""Validation of the target form: pure functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Operation
from engine.config.model import TargetEntry
from tests.sqlite_files import make_database
from tui.console.target_entry import (
    FINE,
    FieldMessage,
    FormValues,
    Place,
    about_label,
    about_name,
    about_place,
    about_url,
    entry_of,
    offered,
    place_of,
    proposed_name,
    url_as_saved,
)
from tui.presentation.canonical_urls import CanonicalUrls

HERE = Path("/srv/data")
SALES = TargetEntry(name="sales", url="/srv/data/sales.db")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("sales.db", "/srv/data/sales.db"),
        (" ./sales.db ", "/srv/data/sales.db"),
        ("../sales.db", "/srv/data/../sales.db"),
        ("sqlite:sales.db", "/srv/data/sales.db"),
        ("sqlite:/srv/sales.db", "/srv/sales.db"),
        ("sqlite:///srv/sales.db", "sqlite:///srv/sales.db"),
        ("~/sales.db", "~/sales.db"),
        ("sqlite:~/sales.db", "~/sales.db"),
        ("postgresql://db1/shop", "postgresql://db1/shop"),
        ("host=db1 dbname=shop", "host=db1 dbname=shop"),
        ("sqlite:", "sqlite:"),
        ("", ""),
    ],
)
def test_a_path_is_saved_so_that_it_means_the_same_from_anywhere(typed: str, url: str) -> None:
    assert url_as_saved(typed, HERE) == url


def about(typed: str) -> FieldMessage:
    return about_url(typed, url_as_saved(typed, HERE))


@pytest.mark.parametrize(
    "secret",
    ["postgresql://dba:x@db1/shop", "mysql://a:b@h/d", "host=db1 password=x", "postgresql://db1/shop?password=x"],
)
def test_a_password_is_refused_at_once_and_not_repeated(secret: str) -> None:
    said = about(secret)
    assert said.is_wrong
    assert not said.is_unfinished
    assert said.text.startswith("a password must not be part of a target (put it where")
    assert "x@" not in said.text


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("oracle://db1", "this kind of database is unknown"),
        ("sqlite://sales.db", "a SQLite URL has three slashes"),
        ("~nobody-at-all/sales.db", "~nobody-at-all is no home directory: enter the absolute path"),
    ],
)
def test_what_names_no_database_is_said(typed: str, text: str) -> None:
    assert about(typed).is_wrong
    assert about(typed).text.startswith(text)


def test_what_is_not_typed_yet_is_not_held_against_anybody() -> None:
    assert about("").is_unfinished
    assert about_name("", "", []).is_unfinished


def test_a_path_is_told_as_it_is_saved() -> None:
    assert about("/srv/data/other.db") == FINE
    assert about("other.db") == FieldMessage("saved as /srv/data/other.db")


def test_a_database_that_is_there_twice_is_told_but_may_be(tmp_path: Path) -> None:
    path = tmp_path / "sales.db"
    (tmp_path / "link.db").symlink_to(path)
    other = TargetEntry(name="sales", url=str(path))
    make_database(path)
    place = place_of(str(tmp_path / "link.db"), [SALES, other], CanonicalUrls())
    assert place == Place(str(tmp_path / "link.db"), same_as="sales")
    assert about_place(FINE, place, is_typed=True) == FieldMessage("the same database as sales")
    assert place_of(str(path), [SALES], CanonicalUrls()) == Place(str(path))


def test_what_is_not_there_is_told_once_it_is_typed(tmp_path: Path) -> None:
    place = place_of(str(tmp_path / "gone.db"), [], CanonicalUrls())
    saved = FieldMessage("saved as typed")
    assert about_place(saved, place, is_typed=True) == saved
    assert about_place(saved, place, is_typed=False) == FieldMessage(
        "saved as typed; there is no such file", is_doubtful=True
    )
    assert about_place(FINE, place, is_typed=False) == FieldMessage("there is no such file", is_doubtful=True)
    wrong = FieldMessage("no", is_wrong=True)
    assert about_place(wrong, place, is_typed=False) == wrong


@pytest.mark.parametrize("url", ["postgresql://db1/shop", "oracle://db1", "~nobody-at-all/x.db", ""])
def test_what_is_no_file_has_no_place_on_a_disk(url: str) -> None:
    assert place_of(url, [], CanonicalUrls()) == Place(url)


@pytest.mark.parametrize(
    ("url", "name"),
    [("/srv/sales.db", "sales"), ("~/a.sqlite3", "a"), ("x", "x"), ("sqlite:///a%20b.sqlite", "a b"), (".db", ".db")],
)
def test_a_name_is_proposed(url: str, name: str) -> None:
    assert proposed_name(url) == name
    assert about_name("", url, []) == FieldMessage(f"default: {name}")


@pytest.mark.parametrize("name", ["run", "doctor", "-x", "a\x07b", "sales"])
def test_a_name_that_could_not_be_used_is_refused(name: str) -> None:
    assert about_name(name, "", [SALES], {"run", "doctor"}).is_wrong


@pytest.mark.parametrize("name", ["Q3 shop", "a.b", "ü", "🐘", '"', "[x]"])
def test_any_other_name_is_fine(name: str) -> None:
    assert about_name(name, "", [SALES]) == FINE


def test_a_label_is_what_a_terminal_can_show() -> None:
    assert about_label("PROD") == FINE
    assert about_label("PROD\x1b[2J").is_wrong
    assert about_label("a label that is far too long").text.startswith("longer than 16 characters")


def test_operations_keep_their_order() -> None:
    was = TargetEntry(name="sales", url="sales.db", operations=(Operation.REINDEX, Operation.VACUUM, Operation.CHECK))
    filled = FormValues(url="sales.db", operations=frozenset({Operation.VACUUM, Operation.REINDEX, Operation.ANALYZE}))
    entry = entry_of(filled, "/srv/sales.db", was)
    assert entry.operations == (Operation.REINDEX, Operation.VACUUM, Operation.ANALYZE)
    assert entry_of(FormValues(url="a.db"), "/a.db", None) == TargetEntry(name="a", url="/a.db")


def test_a_file_whose_name_is_no_text_is_saved_as_a_url() -> None:
    assert entry_of(FormValues(), "/srv/\udcff.db", None).url == "sqlite:///srv/%FF.db"


def test_operations_are_offered_before_it_is_known_of_what() -> None:
    assert offered("~nobody/x") == offered("oracle://db1") == offered("a.db")
    assert Operation.VACUUM in offered("")


def test_a_pattern_and_a_directory_are_places_of_many_files(tmp_path: Path) -> None:
    (tmp_path / "t1.db").write_bytes(b"SQLite format 3\0")
    for url in (f"{tmp_path}/*.db", str(tmp_path)):
        assert place_of(url, [], CanonicalUrls()).trouble == ""
    assert place_of(f"{tmp_path}/t2.db", [], CanonicalUrls()).trouble
    assert proposed_name("/srv/tenants/*.db") == proposed_name("/srv/tenants/**/*.db") == "tenants"
