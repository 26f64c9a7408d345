"""Which targets a pattern, a directory and a server stand for, and which are left out."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.config.model import TargetEntry
from engine.domain.errors import ServerTimeoutError, ServerUnavailableError, TargetError, UsageError
from engine.fleet import expansion
from engine.fleet.expansion import Expansion, LeftOut, may_name_databases
from tests.postgres_databases import Database
from tests.postgres_server import PostgresServer


def database_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    return path


def entries(*words: object) -> list[TargetEntry]:
    return [TargetEntry(name=Path(str(word)).name, url=str(word), is_word=True) for word in words]


def expanded(*words: object, exclude: Iterable[str] = ()) -> Expansion:
    return asyncio.run(expansion.expand(entries(*words), exclude=tuple(exclude)))


def urls(found: Expansion) -> list[str]:
    return [target.url for target in found.targets]


@pytest.fixture
def tenants(tmp_path: Path) -> Path:
    """Ten databases, and what else lies in such a directory."""
    directory = tmp_path / "tenants"
    for n in range(1, 11):
        database_file(directory / f"t{n}.db")
    database_file(directory / "t1.backup-2026-11-24.db")
    (directory / "t2.db-journal").write_bytes(b"journal")
    (directory / "empty.db").touch()
    (directory / "notes.txt").write_text("no database")
    (directory / "link.db").symlink_to(directory / "t3.db")
    return directory


ALL = [f"t{n}" for n in range(1, 11)]


@pytest.mark.parametrize("pattern", ["*", "", "**"])
def test_a_pattern_stands_for_the_databases_in_natural_order(tenants: Path, pattern: str) -> None:
    found = expanded(tenants / pattern)
    assert [target.name for target in found.targets] == ["link", "t1", "t2", *ALL[3:]]
    assert found.left_out == {
        LeftOut.BACKUP: [str(tenants / "t1.backup-2026-11-24.db")],
        LeftOut.JOURNAL: [str(tenants / "t2.db-journal")],
        LeftOut.EMPTY: [str(tenants / "empty.db")],
        LeftOut.NO_DATABASE: [str(tenants / "notes.txt")],
        LeftOut.REPEATED: [str(tenants / "t3.db")],
    }


def test_a_pattern_that_the_shell_expanded_gives_the_same(tenants: Path) -> None:
    by_us, by_shell = expanded(tenants / "*"), expanded(*sorted(tenants.glob("*")))
    assert sorted(urls(by_us)) == sorted(urls(by_shell))
    assert {reason: sorted(names) for reason, names in by_us.left_out.items()} == {
        reason: sorted(names) for reason, names in by_shell.left_out.items()
    }


def test_a_file_alone_stands_for_itself_whatever_it_is(tenants: Path) -> None:
    for name in ("notes.txt", "empty.db", "t1.backup-2026-11-24.db", "missing.db"):
        assert urls(expanded(tenants / name)) == [str(tenants / name)]


def test_a_file_that_the_config_names_stands_for_itself_among_others(tenants: Path) -> None:
    named = [TargetEntry(name=name, url=str(tenants / name)) for name in ("empty.db", "notes.txt")]
    found = asyncio.run(expansion.expand([*entries(tenants / "t1.db", tenants / "empty.db"), *named]))
    assert urls(found) == [str(tenants / "t1.db"), *(entry.url for entry in named)]


def test_a_missing_file_of_several_stays_a_target(tenants: Path) -> None:
    """Whoever opens it says why, so that it is not lost."""
    assert urls(expanded(tenants / "t1.db", tenants / "gone.db")) == [str(tenants / "t1.db"), str(tenants / "gone.db")]


def test_a_database_by_its_name_with_a_lost_header_stays_a_target(tenants: Path) -> None:
    (tenants / "t4.db").write_bytes(b"\0" * 4096)
    assert str(tenants / "t4.db") in urls(expanded(tenants / "*.db"))


def test_names_and_paths_are_excluded(tenants: Path) -> None:
    database_file(tenants / "archive" / "old.db")
    found = expanded(tenants, exclude=["t1*", str(tenants / "archive" / "*"), "link.db"])
    assert [target.name for target in found.targets] == ALL[1:9]
    assert len(found.left_out[LeftOut.EXCLUDED]) == 5


def test_an_entry_has_excludes_of_its_own(tenants: Path) -> None:
    entry = TargetEntry(name="tenants", url=str(tenants / "*.db"), exclude=("t?", "link"), groups=("eu",), label="PROD")
    found = asyncio.run(expansion.expand([entry]))
    assert [(target.name, target.label, target.groups) for target in found.targets] == [("t10", "PROD", ("eu",))]


def test_what_is_named_itself_comes_before_the_pattern(tenants: Path) -> None:
    named = TargetEntry(name="shop", url=str(tenants / "t5.db"), label="PROD")
    found = asyncio.run(expansion.expand([*entries(tenants / "t*.db"), named]))
    assert [target.name for target in found.targets if "t5" in target.url] == ["shop"]


def test_equal_names_of_several_directories_are_told_apart(tmp_path: Path) -> None:
    for directory in ("a", "b"):
        database_file(tmp_path / directory / "x.db")
    assert [target.name for target in expanded(tmp_path / "*" / "x.db").targets] == [
        str(tmp_path / "a" / "x.db"),
        str(tmp_path / "b" / "x.db"),
    ]


@pytest.mark.parametrize("name", ["a'b.db", 'a"b.db', "a\nb.db", "a b?.db", "ü%20#.db", os.fsdecode(b"\xff.db")])
def test_odd_names(tmp_path: Path, name: str) -> None:
    database_file(tmp_path / name)
    assert urls(expanded(tmp_path / "*")) == [str(tmp_path / name)]


def test_an_existing_file_with_a_wildcard_in_its_name_is_that_file(tmp_path: Path) -> None:
    database_file(tmp_path / "a*.db")
    database_file(tmp_path / "ab.db")
    assert urls(expanded(tmp_path / "a*.db")) == [str(tmp_path / "a*.db")]


def test_a_pattern_that_matches_nothing_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        expanded(tmp_path / "*.db")
    assert str(tmp_path) in raised.value.hint


def test_a_pattern_that_matches_nothing_stops_no_other(tenants: Path) -> None:
    found = expanded(tenants / "t1.db", tenants / "x*.db")
    assert urls(found) == [str(tenants / "t1.db")]
    assert [one.entry.url for one in found.unlisted] == [str(tenants / "x*.db")]


def test_a_directory_that_cannot_be_read_is_told(tenants: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = database_file(tenants / "closed" / "x.db").parent
    really = os.scandir

    def scandir(path: str) -> object:
        if path == str(closed):
            raise PermissionError(13, "Permission denied")
        return really(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may read everything
    found = expanded(tenants)
    assert len(found.targets) == 10
    assert [(one.entry.name, one.entry.url) for one in found.unlisted] == [("closed/", str(closed))]
    found = expanded(tenants / "**" / "*.db")
    assert [one.entry.url for one in found.unlisted] == [str(closed)]


def test_too_many_targets_need_a_confirmation(tenants: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "MANY", 3)
    with pytest.raises(UsageError):
        expanded(tenants)
    asked: list[tuple[str, int]] = []
    found = asyncio.run(expansion.expand(entries(tenants), confirm_many=lambda *many: asked.append(many)))
    assert len(found.targets) == 10
    assert asked == [(str(tenants), 10)]


def test_an_exclude_that_matches_nothing_is_known(tenants: Path) -> None:
    given = ["T1", "t1", "t2.db", "t3*", "nothing_*", str(tenants / "t4.db"), "*.backup-*", "t"]
    assert expanded(tenants, exclude=given).unused_excludes == ["T1", "nothing_*", "t"]
    assert expanded(tenants / "t1.db", exclude=["t2"]).unused_excludes == ["t2"]


def test_all_databases_of_a_server(database: Database, postgres: PostgresServer) -> None:
    pattern = database.url.replace(f"/{database.name}?", "/*?")
    found = expanded(pattern, exclude=["template1"])
    assert database.name in {target.name for target in found.targets}
    assert {"postgres"} <= {target.name for target in found.targets}
    assert found.left_out[LeftOut.EXCLUDED]
    assert any(f"/{database.name}?" in url for url in urls(found))


def test_a_server_that_does_not_answer(tmp_path: Path, tenants: Path) -> None:
    nobody = f"postgresql://nobody@/%2A?host={tmp_path}"
    with pytest.raises(ServerUnavailableError):
        expanded(nobody)
    found = expanded(nobody, tenants / "t1.db")
    assert urls(found) == [str(tenants / "t1.db")]
    assert isinstance(found.unlisted[0].error, TargetError)


def test_databases_that_accept_no_connections_are_left_out_and_counted(
    database: Database, postgres: PostgresServer
) -> None:
    names = {kind: f"{database.name}_{kind}" for kind in ("shut", "full", "half")}
    database(
        "CREATE ROLE joe_x LOGIN",
        f"CREATE DATABASE {names['shut']} ALLOW_CONNECTIONS false",
        f"CREATE DATABASE {names['full']} CONNECTION LIMIT 0",
        f"CREATE DATABASE {names['half']}",
        f"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{names['half']}'",
    )
    try:
        for user, closed, targets in (
            ("postgres", ["shut"], [database.name, names["full"]]),
            ("joe_x", ["full", "shut"], [database.name]),
        ):
            found = expanded(postgres.url(f"{database.name}*", user))
            assert [one.name for one in found.targets] == targets
            assert [urlsplit(url).path for url in found.left_out[LeftOut.CLOSED]] == [
                f"/{names[one]}" for one in closed
            ]
            assert [urlsplit(url).path for url in found.left_out[LeftOut.INVALID]] == [f"/{names['half']}"]
        assert not any("template0" in url for urls in expanded(postgres.url("*")).left_out.values() for url in urls)
    finally:
        database(*(f"DROP DATABASE {name}" for name in names.values()), "DROP ROLE joe_x")


def test_a_database_without_the_right_to_connect_is_left_out_and_counted(
    database: Database, postgres: PostgresServer
) -> None:
    database(
        "CREATE ROLE guest LOGIN",
        f"REVOKE CONNECT ON DATABASE {database.name} FROM PUBLIC",
    )
    try:
        pattern = postgres.url("*", "guest")
        found = expanded(pattern)
        assert any(f"/{database.name}?" in url for url in found.left_out[LeftOut.NO_RIGHT])
    finally:
        database("DROP ROLE guest")


def test_a_server_that_never_answers_is_given_up(tenants: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "LIST_WITHIN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = expanded(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/*", tenants / "t1.db")
    assert urls(found) == [str(tenants / "t1.db")]
    assert isinstance(found.unlisted[0].error, ServerTimeoutError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://dba@db1/*", True),
        ("postgresql://dba@db1/shop_*?sslmode=require", True),
        ("postgresql://dba@db1/%2A", True),
        ("host=db1 dbname=shop*", True),
        ("postgresql://db1?dbname=*", True),
        ("postgresql://dba@db1/shop?sslmode=require", False),
        ("postgresql://dba@[::1]:5432/shop", False),
        ("postgresql://dba@db1/shop?host=/nowhere/*", False),
        ("host=db1 dbname=shop", False),
        ("postgresql://[/*", False),
        ("/srv/*.db", False),
    ],
)
def test_a_pattern_of_databases_is_known_by_its_name_alone(text: str, expected: bool) -> None:
    assert may_name_databases(text) is expected
