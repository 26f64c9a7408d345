"""Option files are read as the servers' own tools read them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.domain.errors import UsageError
from engine.targets.mysql.connection.option_files import exposed_files, options
from tests.two_users import NOBODY, needs_root


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MYSQL_HOME", raising=False)
    return tmp_path


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("password=plain", "plain"),
        ("  password =  spaced # a comment", "spaced"),
        ('password="a # b"', "a # b"),
        ("password='it\\'s'", "it's"),
        (r"password=a\\b\s\x", "a\\b \\x"),
        ('loose_password="ü"', "ü"),
        ("password", ""),
        ("password # none", ""),
        ("password=", ""),
        ("password=a=b;c", "a=b;c"),
    ],
)
def test_values(home: Path, line: str, value: str) -> None:
    assert options(written(home / "f", f"[client]\nno-auto-rehash\n{line}\n"))["password"] == value


def test_of_several_the_last_counts(home: Path) -> None:
    text = "[client]\nuser=a\n[mysqld]\nuser=mysql\n[dbtend]\nuser=b\nport=1\n[prod]\nport=2\n[other]\nport=3\n"
    file = written(home / "f", f"; {{\n# x\n{text}")
    assert options(file) == {"user": "b", "port": "1"}
    assert options(file, "prod") == {"user": "b", "port": "2"}


def test_included_files(home: Path) -> None:
    (home / "conf.d").mkdir()
    written(home / "conf.d/b.cnf", "[client]\nuser=b\n")
    written(home / "conf.d/a.cnf", "[client]\nuser=a\nhost=h\n")
    written(home / "conf.d/c.txt", "[client]\nuser=c\n")
    written(home / "again.cnf", "!include again.cnf\n[client]\nport=5\n")
    file = written(home / ".my.cnf", f"!includedir {home}/conf.d\n!include {home}/again.cnf\n!include {home}/none\n")
    found = options(file)
    assert {name: found[name] for name in ("user", "host", "port")} == {"user": "b", "host": "h", "port": "5"}
    assert options()["host"] == "h"


def test_a_file_that_everybody_may_change_says_nothing(home: Path) -> None:
    file = home / ".my.cnf"
    written(file, "[client]\nhost=h\n")
    assert options()["host"] == "h"
    file.chmod(0o666)
    assert "host" not in options()
    with pytest.raises(UsageError, match="can be written by everybody"):
        options(str(file))
    assert list(exposed_files()) == [file]
    file.unlink()
    file.symlink_to("/dev/null")  # so that no tool reads one
    assert exposed_files() == {}


@needs_root
def test_a_file_of_another_user_says_nothing(home: Path) -> None:
    file = home / ".my.cnf"
    written(file, f"!includedir {home}/conf.d\n")
    (home / "conf.d").mkdir()
    written(home / "conf.d/a.cnf", "[client]\nhost=h\n")
    assert options()["host"] == "h"
    os.chown(home / "conf.d/a.cnf", NOBODY, NOBODY)
    assert "host" not in options()
    os.chown(file, NOBODY, NOBODY)
    with pytest.raises(UsageError, match="belongs to nobody"):
        options(str(file))
    assert list(exposed_files()) == [file]


def test_a_file_or_a_group_that_is_not_there(home: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        options(str(home / "none"))
    with pytest.raises(UsageError, match="no option file has it"):
        options(written(home / "f", "[client]\nuser=a\n"), "prod")


def test_a_password_is_not_shown_by_accident(home: Path) -> None:
    assert "corect" not in repr(options(written(home / "f", "[client]\npassword=corect\n")))


def test_the_groups_that_the_page_names_are_read(home: Path) -> None:
    page = Path(__file__).parents[5] / "docs" / "how-to" / "tend-mariadb-or-mysql.md"
    (_, _, example) = page.read_text().partition("```cnf\n")
    assert options(written(home / "own.cnf", example.partition("```")[0])) == {"user": "dba", "password": "..."}
