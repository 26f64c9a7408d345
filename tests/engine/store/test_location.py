"""Where a store is, by what a user typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine import StoreLocation
from engine.domain.errors import UsageError
from engine.store.location import driver_missing

URL = "postgresql://ann@db1:5432/jobs"


@pytest.mark.parametrize("text", [URL, "postgres://ann@db1/jobs", "host=db1 user=ann dbname=jobs"])
def test_all_forms_name_the_same_store(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPORT", raising=False)
    location = StoreLocation.parse(text)
    assert (str(location), location.is_shared, location.exists()) == (URL, True, True)
    assert location == StoreLocation.parse(str(location))


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann@db1,db2/jobs",
        "postgresql://ann@db1:5432,db2/jobs",
        "host=db1,db2 user=ann dbname=jobs",
        "host=db1,db2 port=5432,5432 user=ann dbname=jobs",
        "postgresql://ann@:5432/jobs?host=db1,db2",
    ],
)
def test_a_store_may_have_several_hosts(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPORT", raising=False)
    location = StoreLocation.parse(text)
    assert str(location) == "postgresql://ann@db1:5432,db2:5432/jobs"
    assert location == StoreLocation.parse(str(location))


def test_what_lies_on_this_host_is_the_same_for_all_users_and_settings_of_a_store() -> None:
    other_user = StoreLocation.parse("postgresql://bob@db1:5432/jobs?sslmode=require")
    assert other_user.path == StoreLocation.parse(URL).path
    assert StoreLocation.parse("postgresql://ann@db1:5432/other").path != other_user.path


def test_a_path_is_an_embedded_store(tmp_path: Path) -> None:
    location = StoreLocation.parse(str(tmp_path / "jobs.db"))
    assert (str(location), location.is_shared, location.exists()) == (str(tmp_path / "jobs.db"), False, False)


@pytest.mark.parametrize("text", ["mysql://u@h/d", "sqlite:///jobs.db"])
def test_other_urls_are_no_store(text: str) -> None:
    with pytest.raises(UsageError, match="is no store of jobs"):
        StoreLocation.parse(text)


def test_an_embedded_store_is_opened_without_what_a_shared_one_needs(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from engine import Engine

async def main():
    async with Engine.open(Path({str(tmp_path / "jobs.db")!r})):
        pass

asyncio.run(main())
print([name for name in sys.modules if name.split(".")[0] in ("psycopg", "psycopg_pool")])
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "missing"),
    [(ImportError("no pq wrapper available"), "libpq"), (ModuleNotFoundError("", name="psycopg"), "psycopg")],
)
def test_what_is_not_installed_is_named_where_python_does_not_name_it(error: ImportError, missing: str) -> None:
    assert missing in driver_missing(error).why
