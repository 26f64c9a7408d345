"""The forms of a target that a user can type."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.engines import EngineName
from engine.domain.errors import DbtendError, NotAvailableError, TargetUnavailableError, UsageError
from engine.domain.requests import Operation
from engine.system.local_servers import NO_HOST_NAME
from engine.targets import real_urls, resolve


@pytest.mark.parametrize(
    "text",
    ["/srv/sales.db", "sqlite:/srv/sales.db", "sqlite:///srv/sales.db", "sqlite:////srv/sales.db", "//srv//./sales.db"],
)
def test_all_forms_name_the_same_file(text: str) -> None:
    target = resolve(text)
    assert target.url == "sqlite:///srv/sales.db"
    assert target.engine == EngineName.SQLITE
    assert target.default_operations == (Operation.VACUUM, Operation.ANALYZE)


async def test_a_relative_path_and_a_link_become_the_real_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to("real.db")
    monkeypatch.chdir(tmp_path)
    real = f"sqlite://{tmp_path.resolve()}/real.db"
    assert resolve("real.db").url == resolve("sqlite:real.db").url == resolve("./link.db").url == real
    assert await resolve("link.db").identify() == await resolve(real).identify()


def test_a_relative_path_in_a_directory_that_was_deleted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UsageError, match="an absolute path"):
        resolve("a.db")


async def test_the_key_is_the_file_and_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    (tmp_path / "b.db").touch()
    os.link(tmp_path / "a.db", tmp_path / "same.db")
    key = {name: await resolve(str(tmp_path / name)).identify() for name in ("a.db", "b.db", "same.db")}
    assert key["a.db"] == key["same.db"] != key["b.db"]
    status = (tmp_path / "a.db").stat()
    assert key["a.db"] == f"sqlite:{status.st_dev:x}:{status.st_ino:x}"


def test_the_url_stays_readable_and_encodes_only_what_it_must() -> None:
    assert resolve("/srv/größe 100%?#\n.db").url == "sqlite:///srv/größe%20100%25%3F%23%0A.db"
    assert resolve(os.fsdecode(b"/srv/\xff.db")).url == "sqlite:///srv/%FF.db"
    assert resolve("sqlite:///srv/gr%C3%B6%C3%9Fe%20100%25.db").url == "sqlite:///srv/größe%20100%25.db"


@given(st.binary(min_size=1).map(lambda name: name.replace(b"\0", b"%")) | st.text(min_size=1).map(str.encode))
def test_a_url_resolves_to_itself(name: bytes) -> None:
    url = resolve(os.fsdecode(b"/nowhere/" + name.replace(b"\0", b"?"))).url
    assert resolve(url).url == url
    assert url.isprintable() or not url.isascii()


@pytest.mark.parametrize("text", ["", "  ", "\n", "sqlite:", "a\0b", "sqlite:///a%00b", "x\ud800y"])
def test_what_cannot_be_a_path_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give a path"):
        resolve(text)


def test_options_in_a_url_are_refused() -> None:
    with pytest.raises(UsageError, match="the plain path"):
        resolve("sqlite:///srv/a.db?mode=ro")


@pytest.mark.parametrize("text", ["sqlite://a.db", "sqlite3:///srv/a.db", "http://x/a.db", "oracle://host/db"])
def test_unknown_kinds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give a path"):
        resolve(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann:s3cret@host/db",
        "postgres://ann:s3c/ret@host/db",
        "mysql://ann:s3cret@host",
        "unknown://ann:s3cret@host",
        "sqlite://ann:s3cret@host/a.db",
        "postgresql://host/db?user=ann&password=s3cret",
        "host=x user=ann password=s3cret",
        "password = 's3cret' user=ann",
    ],
)
def test_a_password_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="password must not") as caught:
        resolve(text)
    assert "pgpass" in caught.value.hint
    assert "s3c" not in str(caught.value)
    assert "ann" not in str(caught.value)


@given(st.text())
def test_any_text_resolves_or_is_refused_in_words(text: str) -> None:
    with contextlib.suppress(UsageError, NotAvailableError):
        assert resolve(text).url.startswith(("sqlite:///", "postgresql://"))


def test_without_the_driver_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("psycopg", "engine.targets.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(NotAvailableError, match="psycopg") as caught:
        resolve("postgresql://ann@host/db")
    assert caught.value.hint.startswith("pip install '.[postgres]'")


def test_the_driver_is_imported_only_where_it_is_used() -> None:
    script = (
        "import sys, engine, tui.cli; from engine.inspection import inspector;"
        "inspector.canonical_url('/a.db'); sys.exit('psycopg' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_many_are_resolved_as_each_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    (real / "below").mkdir(parents=True)
    linked.symlink_to(real)
    (real / "sales.db").touch()
    (real / "other.db").symlink_to("sales.db")
    (real / "round.db").symlink_to("round.db")
    monkeypatch.chdir(linked)
    names = ["sales.db", "other.db", "round.db", "none.db", "below/../sales.db", "below/..", "", "oracle://h/d"]
    texts = [
        *names,
        *(f"{linked}/{name}" for name in names[:-2]),
        "/",
        f"sqlite://{linked}/other.db",
        "postgresql://h/d",
    ]
    alone = {}
    for text in texts:
        try:
            alone[text] = resolve(text).url
        except DbtendError:
            alone[text] = text
    assert real_urls(texts) == alone


def test_a_file_of_another_host_is_named_with_it_and_not_opened_here() -> None:
    target = resolve("sqlite://db2/srv/a%20b.db")
    assert (target.url, target.elsewhere) == ("sqlite://db2/srv/a%20b.db", "db2")
    with pytest.raises(TargetUnavailableError, match="is a file of the host db2"):
        target.look(lock_timeout=0)


def test_a_file_of_this_host_may_be_named_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBTEND_HOST", "db2")
    assert resolve("sqlite://db2/srv/a.db").url == "sqlite:///srv/a.db"


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize("host", ["db..example", "d" * 64 + ".example"])
async def test_a_host_that_cannot_have_its_name_is_said_to_be_none(scheme: str, host: str) -> None:
    with pytest.raises(TargetUnavailableError) as refused:
        await resolve(f"{scheme}://joe@{host}/shop").identify()
    assert refused.value.why == NO_HOST_NAME


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x"])
def test_a_port_that_is_none_is_refused_and_not_taken_for_the_usual_one(port: str) -> None:
    with pytest.raises(UsageError):
        resolve(f"mysql://joe@db1:{port}/shop")
