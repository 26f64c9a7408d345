"""What a worker of a shared store does for other logins: its own config file says it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Operation, Options, ParentJob, Reason, Request, ServerOptions, Status, StoreLocation
from engine.domain.claims import Claim
from engine.domain.jobs import JobId, JobType
from engine.domain.option_spec import Lent
from engine.domain.option_specs import BY_NAME, OPTION_SPECS
from engine.domain.value_types import FilePath, Text
from engine.execution.allowed import refusal
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store


@dataclass
class Logins:
    operator: StoreLocation
    worker: StoreLocation


@pytest.fixture
def logins(postgres: PostgresServer) -> Iterator[Logins]:
    with copied_store(postgres) as url, as_admin(url) as admin:
        admin.execute("CREATE ROLE joe_operator LOGIN IN ROLE dbtend_operator, dbtend_worker")
        admin.execute("CREATE ROLE joe_worker LOGIN IN ROLE dbtend_operator, dbtend_worker")
        yield Logins(
            *(StoreLocation.parse(url.replace("//postgres@", f"//joe_{name}@")) for name in ("operator", "worker"))
        )
        admin.execute("DROP ROLE joe_operator, joe_worker")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("srv", "home"):
        (tmp_path / name).mkdir()
        with sqlite3.connect(tmp_path / name / "sales.db") as database:
            database.execute("CREATE TABLE item (a)")
        database.close()
    (tmp_path / "srv/link.db").symlink_to(tmp_path / "home/sales.db")
    return tmp_path


async def ended(by: StoreLocation, worker: StoreLocation, config: Path, path: Path, **options: Any) -> ParentJob:
    """What became of a job that one login submits and another carries out."""
    operation = Operation.BACKUP if options else Operation.VACUUM
    async with (
        asyncio.timeout(60),
        Engine.open(by) as engine,
        Engine.open(worker, workers=1, config=config) as other,
    ):
        (job,) = await engine.submit([Request(target=str(path), operations=(operation,), options=Options(**options))])
        (done,) = await other.wait([job.id])
        return done


@pytest.mark.parametrize(
    ("config", "path", "backup_to", "is_taken"),
    [
        ("", "srv/sales.db", None, False),
        ('directories = ["{0}/srv"]', "srv/sales.db", None, True),
        ('directories = ["{0}/srv"]', "home/sales.db", None, False),
        ('directories = ["{0}/sr"]', "srv/sales.db", None, False),
        ('directories = ["{0}/srv"]', "srv/link.db", None, False),
        ('directories = ["{0}/srv"]', "srv/sales.db", "srv/copy.db", False),
        ('directories = ["{0}/srv"]\nallow = ["pause_while"]', "srv/sales.db", "srv/copy.db", False),
        ('directories = ["{0}/srv"]\nallow = ["backup_to"]', "srv/sales.db", "srv/copy.db", True),
        ('directories = ["{0}/srv"]\nallow = ["backup_to"]', "srv/sales.db", "home/copy.db", False),
        ('directories = ["{0}/srv"]\nallow = ["backup_to"]', "srv/sales.db", "srv/../home/copy.db", False),
        ('[targets.sales]\nurl = "{0}/srv/sales.db"', "srv/sales.db", None, True),
        ('[targets.sales]\nurl = "{0}/srv/*.db"', "srv/sales.db", None, False),
    ],
)
async def test_r33_a_worker_reads_and_writes_for_other_logins_what_its_config_names(
    logins: Logins, files: Path, config: str, path: str, backup_to: str | None, is_taken: bool
) -> None:
    given = files / "config.toml"
    given.write_text(f"[worker]\n{config.format(files)}\n")
    options = {} if backup_to is None else {"backup_to": f"{files}/{backup_to}"}
    done = await ended(logins.operator, logins.worker, given, files / path, **options)
    (child,) = done.children
    assert child.status is (Status.COMPLETED if is_taken else Status.FAILED), child.error
    assert (child.reason is Reason.REFUSED) is not is_taken
    if not is_taken:
        assert "of other logins" in (child.error or "")
        assert child.steps == ()
    assert not (files / "home/copy.db").exists()


async def test_r33_what_the_login_of_the_worker_submits_is_its_own(logins: Logins, files: Path) -> None:
    done = await ended(
        logins.worker, logins.worker, files / "none.toml", files / "home/sales.db", backup_to=f"{files}/copy.db"
    )
    assert done.status is Status.COMPLETED


def claim(target: str, *, is_own: bool = False, **server: Any) -> Claim:
    return Claim(
        job=JobId(1, 1), type=JobType.OPERATION, attempt=1, owner="me", target=target, operation="analyze",
        options=Options(server=ServerOptions(**server)), is_own=is_own,
    )  # fmt: skip


PLAIN = "postgresql://dba@db1:5432/shop"
WITH_PARAMETERS = (
    f"{PLAIN}?passfile=/root/.pgpass",
    f"{PLAIN}?hostaddr=10.0.0.9",
    f"{PLAIN}?options=-crole%3Dpostgres",
    f"{PLAIN}?sslkey=/root/key&sslcert=/root/cert",
    f"{PLAIN}?sslmode=disable",
    "postgresql://dba@%2Ftmp%2Flair/shop",
    "service=shop",
    "mysql://dba@db1/shop?option-file=/root/.my.cnf",
    "mysql://dba@localhost/shop?socket=/tmp/lair.sock",
    "mysql://dba@db1/shop?ssl-ca=/tmp/lair.pem",
)


@pytest.mark.parametrize("url", WITH_PARAMETERS)
async def test_r33_a_url_with_parameters_is_taken_where_the_config_names_it(tmp_path: Path, url: str) -> None:
    config = tmp_path / "config.toml"
    assert "names the very same URL" in await refusal(claim(url), config)
    assert await refusal(claim(url, is_own=True), config) == ""
    config.write_text(f'[targets.shop]\nurl = "{PLAIN}"')
    assert await refusal(claim(url), config)
    config.write_text(f'[targets.shop]\nurl = "{url}"')
    assert await refusal(claim(url), config) == ""


async def test_r33_a_query_runs_with_the_login_of_the_worker_where_that_is_allowed(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    asked = claim(PLAIN, pause_while="SELECT pg_terminate_backend(4711)")
    assert await refusal(claim(PLAIN), config) == ""
    assert "--pause-while" in await refusal(asked, None)
    config.write_text('[worker]\nallow = ["backup_to"]')
    assert "--pause-while" in await refusal(asked, config)
    config.write_text('[worker]\nallow = ["pause_while"]')
    assert await refusal(asked, config) == ""
    config.write_text("[worker]\nallow = [")
    assert "is not known" in await refusal(claim(PLAIN), config)


def test_r33_each_option_that_is_a_path_or_a_text_is_lent_or_harmless() -> None:
    """A new one is to be looked at: does it lend whoever asks for it powers of the worker?"""
    free = {spec.name for spec in OPTION_SPECS if type(spec.type) in {Text, FilePath}}
    assert free - set(Lent) == {"tablespace"}  # a name, quoted
    assert set(Lent) <= BY_NAME.keys()
