"""What a worker of a shared store does for other logins: its own config file says it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Operation, Options, ParentJob, Reason, Request, ServerOptions, Status, StoreLocation
from engine.config import watch
from engine.config.model import Config
from engine.config.reader import load_config
from engine.domain.claims import Claim, Outcome, Report
from engine.domain.jobs import JobId, JobType
from engine.domain.option_spec import Lent
from engine.domain.option_specs import BY_NAME, OPTION_SPECS
from engine.domain.value_types import FilePath, Text
from engine.execution.allowed import Lending
from engine.execution.knowledge import Knowledge
from engine.execution.reporter import Reporter
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.system.clock import now
from engine.targets import resolve
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.planning.steps import Method
from engine.targets.sqlite.running.methods import METHODS
from engine.targets.sqlite.running.work import Work
from engine.targets.sqlite.target import SqliteTarget
from engine.targets.step_execution import StepResult
from engine.targets.target import Target
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store
from tests.two_users import NOBODY, needs_root


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


async def refusal(claim: Claim, config: Path | None) -> str:
    return await Lending(config).refusal(claim, resolve(claim.target))


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


async def test_r33_a_config_that_stays_as_it_is_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, new = tmp_path / "config.toml", tmp_path / "new.toml"
    config.write_text('[worker]\nallow = ["pause_while"]')
    read: list[Path] = []

    def count(path: Path, *, required: bool) -> Config:
        read.append(path)
        return load_config(path, required=required)

    monkeypatch.setattr(watch, "load_config", count)
    lending, asked = Lending(config), claim(PLAIN, pause_while="SELECT true")
    refusals = await asyncio.gather(*(lending.refusal(asked, resolve(PLAIN)) for _ in range(5)))
    assert (set(refusals), len(read)) == ({""}, 1)
    new.write_text("[worker]")
    new.replace(config)
    assert "--pause-while" in await lending.refusal(asked, resolve(PLAIN))
    config.unlink()
    assert "is not known" in await lending.refusal(asked, resolve(PLAIN))


@needs_root
@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.CHECK])
@pytest.mark.parametrize("what", ["lair", "lair/sales.db"])
@pytest.mark.parametrize("at", ["before the file is seen", "before SQLite opens it", "only while SQLite opens it"])
async def test_r33_a_link_that_takes_the_place_of_a_file_after_it_was_allowed_is_not_followed(
    files: Path, monkeypatch: pytest.MonkeyPatch, operation: Operation, what: str, at: str
) -> None:
    lair, secret, place, away = files / "srv/lair", files / "home/sales.db", files / "srv" / what, files / "srv/away"
    lair.mkdir()
    (files / "srv/sales.db").rename(lair / "sales.db")
    for path in (lair.parent, lair, lair / "sales.db"):
        os.chown(path, NOBODY, -1)
    before = secret.read_bytes()
    look, connect = SqliteTarget._before_opening, MeteredConnection.open

    def swap() -> None:
        monkeypatch.undo()
        place.rename(away)
        place.symlink_to(secret.parent if what == "lair" else secret)

    def looking(*args: Any, **how: Any) -> Any:
        swap()
        return look(*args, **how)

    async def connecting(*args: Any, **how: Any) -> Any:
        swap()
        try:
            return await connect(*args, **how)
        finally:
            if at.startswith("only"):
                place.unlink()
                away.rename(place)

    if at == "before the file is seen":
        monkeypatch.setattr(SqliteTarget, "_before_opening", looking)
    else:
        monkeypatch.setattr(MeteredConnection, "open", connecting)
    given = files / "config.toml"
    given.write_text(f'[worker]\ndirectories = ["{files}/srv"]')
    outcome = await ended_alone(replace(claim(str(lair / "sales.db")), operation=operation), given)
    assert place.is_symlink() is not at.startswith("only")
    assert outcome.status is Status.FAILED, outcome
    assert secret.read_bytes() == before
    assert [*secret.parent.iterdir()] == [secret]


@needs_root
@pytest.mark.parametrize("at", [Method.COPY, Method.COPY_CHECK])
async def test_r33_no_backup_is_written_through_a_link_that_came_after_it_was_allowed(
    files: Path, monkeypatch: pytest.MonkeyPatch, at: Method
) -> None:
    place, secret = files / "srv/lair", files / "home"
    place.mkdir()
    for path in (place.parent, place):
        os.chown(path, NOBODY, -1)
    given = files / "config.toml"
    given.write_text(f'[worker]\ndirectories = ["{files}/srv"]\nallow = ["backup_to"]')

    execute = METHODS[at]

    async def swapped(work: Work) -> StepResult:
        place.rename(files / "srv/away")
        place.symlink_to(secret)
        return await execute(work)

    monkeypatch.setitem(METHODS, at, swapped)
    options = Options(backup_to=str(place / "copy.db"))
    asked = replace(claim(str(files / "srv/sales.db")), operation=Operation.BACKUP, options=options)
    outcome = await ended_alone(asked, given)
    assert place.is_symlink()
    assert outcome.status is Status.FAILED, outcome
    assert [*secret.iterdir()] == [secret / "sales.db"]


async def ended_alone(asked: Claim, config: Path) -> Outcome:
    reporter = Reporter(asked, ignore, now)
    worker = DatabaseMaintenanceWorker(resolve, Lends(config))
    outcome = await worker.execute(asked, reporter, asyncio.Event())
    await reporter.stop()
    return outcome


class Lends(Knowledge):
    def __init__(self, config: Path) -> None:
        self._lending = Lending(config)

    async def refusal(self, claim: Claim, target: Target) -> str:
        return await self._lending.refusal(claim, target)


async def ignore(report: Report) -> None:
    pass
