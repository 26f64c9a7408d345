"""What a login with each role of a shared store can do, and what it cannot."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.domain.claims import Report
from engine.domain.errors import ReadOnlyError, StoreError
from engine.domain.events import HistoryFilter
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.store.postgres import roles
from engine.store.postgres.connections import connected
from engine.store.postgres.roles import Role
from engine.store.postgres.store import PostgresStore
from engine.store.protocol import NewBatch
from tests.building import COMPLETED, new_job
from tests.postgres_databases import as_admin
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STORE = Path(roles.__file__).parent
Login = Callable[..., str]


@pytest.fixture
def login(store_url: str) -> Iterator[Login]:
    """Makes a login with these roles; gives the URL by which it reaches the store."""
    made: list[str] = []

    def make(*of: Role) -> str:
        name = f"joe{len(made)}"
        with as_admin(store_url) as admin:
            admin.execute(f"CREATE ROLE {name} LOGIN" + (f" IN ROLE {', '.join(of)}" if of else ""))
        made.append(name)
        return store_url.replace("//postgres@", f"//{name}@")

    yield make
    with as_admin(store_url) as admin:
        for name in made:
            admin.execute(f"DROP ROLE {name}")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    async with PostgresStore.open(url, what="the store", who="ann@desk") as store:
        yield store


async def test_a_viewer_sees_everything_and_changes_nothing(login: Login, store_url: str) -> None:
    async with opened(store_url) as owner:
        (job,) = await owner.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with opened(login(Role.VIEWER)) as store:
        assert (await store.job(job)).status is Status.PENDING
        assert [one.id for one in await store.history(HistoryFilter(), before=None, limit=9)] == [job]
        assert await store.workers() == []
        assert (await store.overview()).open_jobs == {Status.PENDING: 1}
        assert await store.changes(0, 10)
        assert await store.paused() is None
        writes: list[Callable[[], Awaitable[object]]] = [
            lambda: store.submit([new_job("stock")], OnDuplicate.REFUSE),
            lambda: store.request_cancel(JobId(job)),
            lambda: store.cancel_all([job]),
            lambda: store.pause("ann@desk"),
            lambda: store.resume(),
            lambda: store.pin(job, True),
            lambda: store.prune([job]),
            lambda: store.claim("me"),
            lambda: store.enforce_time_limits(),
            lambda: store.disable_schedule("nightly", "ann@desk"),
        ]
        for write in writes:
            with pytest.raises(ReadOnlyError) as refused:
                await write()
            assert "\n" not in str(refused.value)
    async with opened(store_url) as owner:
        assert await owner.paused() is None
        assert (await owner.job(job)).status is Status.PENDING
        assert not (await owner.job(job)).pinned


async def test_an_operator_submits_and_cancels_and_pauses_but_runs_nothing(login: Login) -> None:
    async with opened(login(Role.OPERATOR)) as store:
        (job,) = await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        await store.pin(job, True)
        await store.pause("ann@desk")
        await store.resume()
        await store.submit([new_job("stock"), new_job("staff")], OnDuplicate.REFUSE, NewBatch())
        with pytest.raises(ReadOnlyError, match="register_worker"):
            async with store.reserving("a run"):
                pass
        assert await store.rescue() == []
        await store.enforce_time_limits()
        with pytest.raises(ReadOnlyError):
            await store.claim("me")
        await store.request_cancel(JobId(job))
        assert (await store.job(job)).status is Status.CANCELLED


async def test_a_worker_runs_what_an_operator_submitted_but_submits_and_cancels_nothing(login: Login) -> None:
    async with opened(login(Role.OPERATOR)) as operator, opened(login(Role.WORKER)) as store:
        (job,) = await operator.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        async with store.hosting_workers() as owner:
            claim = await store.claim(owner)
            assert claim is not None
            await store.report(claim, Report())
            await store.finish(claim, COMPLETED, Report())
        assert (await store.job(job)).status is Status.COMPLETED
        with pytest.raises(ReadOnlyError):
            await store.submit([new_job("stock")], OnDuplicate.REFUSE)
        with pytest.raises(ReadOnlyError):
            await store.request_cancel(JobId(job))
        with pytest.raises(ReadOnlyError):
            await store.pause("ann@desk")


async def test_a_worker_proves_itself_again_after_its_session_was_ended(login: Login) -> None:
    url = login(Role.WORKER)
    async with opened(url) as store, store.hosting_workers() as owner, connected(url, "it", "dbtend worker") as again:
        cursor = await again.execute(b"SELECT prove_again(%s), pg_backend_pid()", (owner,))
        proven, session = await cursor.fetchone() or (False, 0)
        assert proven
        cursor = await again.execute(b"SELECT session FROM worker WHERE id = %s", (owner,))
        assert await cursor.fetchone() == (session,)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT rescue(%(owner)s, 9, 'it died', '{}', NULL)",
        "SELECT forget_worker(%(owner)s), rescue(%(owner)s, 9, 'it died', '{}', NULL)",
        "SELECT release_from(%(owner)s, NULL), rescue(%(owner)s, 9, 'it died', '{}', NULL)",
        "SELECT take_proof(%(owner)s), rescue(%(owner)s, 9, 'it died', '{}', NULL)",
    ],
)
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.WORKER])
async def test_r33_nobody_declares_a_live_worker_dead(login: Login, role: Role, statement: str) -> None:
    async with opened(login(*Role)) as store, connected(login(role), "the store", "test") as other:
        (job,) = await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        async with store.hosting_workers() as owner:
            claim = await store.claim(owner)
            assert claim is not None
            await other.execute(b"SET lock_timeout = '200ms'")
            for setting in ("0", "-1000"):
                await other.execute(f"SET dbtend.grace = '{setting}'".encode())
                with suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable):
                    await other.execute(statement.encode(), {"owner": owner})
            assert [process.alive for process in await store.workers()] == [True]
            await store.finish(claim, COMPLETED, Report())
        assert (await store.job(job)).status is Status.COMPLETED
        assert await store.workers() == []


async def test_nobody_takes_from_a_live_run_what_it_has_reserved(login: Login) -> None:
    async with opened(login(*Role)) as store, connected(login(Role.WORKER), "the store", "test") as other:
        async with store.reserving("a run"):
            await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
            await other.execute(b"SELECT release_from('a run', NULL)")
            assert await store.has_pending() is False
        assert await store.has_pending() is True


async def test_a_worker_that_owns_a_child_stays_known_when_it_leaves(login: Login) -> None:
    """Else nobody would take the child over."""
    async with opened(login(*Role)) as store:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        async with store.hosting_workers() as owner:
            await store.claim(owner)
        await eventually(store.rescue)


async def test_the_login_of_each_write_is_kept_whatever_name_it_gives(login: Login, store_url: str) -> None:
    operator, worker = login(Role.OPERATOR), login(Role.WORKER)
    names = [url.partition("//")[2].partition("@")[0] for url in (operator, worker)]
    async with opened(worker) as store, connected(operator, "the store", "test") as joe:
        async with PostgresStore.open(operator, what="the store", who=f"{names[0]}@desk as root") as liar:
            (job,) = await liar.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        assert (await store.job(job)).submitted_by == f"{names[0]}@desk_as_root as {names[0]}"
        async with store.hosting_workers() as owner:
            assert await store.claim(owner) is not None
            await joe.execute(b"SELECT request_cancel(%s, 1, 'cancelled_by_user', 'nobody', NULL)", (job,))
        await eventually(store.rescue)
        await joe.execute(b"SELECT pause('', NULL)")
        await joe.execute(b"SELECT resume(NULL)")
        (child,) = (await store.job(job)).children
        assert [attempt.login for attempt in child.attempts] == [names[1]]
    with as_admin(store_url) as admin:
        written = admin.execute("SELECT coalesce(new, kind), kind, login FROM dbtend.event ORDER BY seq").fetchall()
    assert {(new, login) for new, kind, login in written if kind == "status"} == {
        ("pending", names[0]), ("running", names[1]), ("pending", names[1]),
    }  # fmt: skip
    assert {(kind, login) for _, kind, login in written if kind != "status"} == {
        ("cancel_requested", names[0]), ("paused", names[0]), ("resumed", names[0]),
    }  # fmt: skip


@pytest.mark.parametrize("role", Role)
async def test_no_role_writes_tables_past_the_functions(login: Login, role: Role) -> None:
    async with connected(login(role), "the store", "test") as connection:
        tables = "SELECT relname FROM pg_class WHERE relnamespace = 'dbtend'::regnamespace AND relkind = 'r'"
        names = [name for (name,) in await (await connection.execute(tables.encode())).fetchall()]
        assert len(names) > 15
        for name in names:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(f"DELETE FROM {name}".encode())


async def test_no_role_calls_a_part_of_a_function(login: Login) -> None:
    async with connected(login(*Role), "the store", "test") as connection:
        query = (
            "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'dbtend'::regnamespace"
            " AND has_function_privilege(oid, 'EXECUTE')"
        )
        callable_ = {name for (name,) in await (await connection.execute(query.encode())).fetchall()}
        assert callable_ == {*roles.READS, *roles.WRITES}


async def test_who_has_no_role_is_told_so(login: Login) -> None:
    with pytest.raises(StoreError, match="may not"):
        async with opened(login()):
            pass


async def test_a_function_uses_no_object_of_its_caller(login: Login) -> None:
    """A temporary table or another search path does not stand in for the tables of the store."""
    async with connected(login(Role.OPERATOR), "the store", "test") as connection:
        await connection.execute(b"CREATE TEMPORARY TABLE pause (one boolean, at bigint, by text)")
        await connection.execute(b"SET search_path = pg_temp")
        await connection.execute(b"SELECT dbtend.pause('ann@desk', NULL)")
        cursor = await connection.execute(b"SELECT (SELECT count(*) FROM dbtend.pause), (SELECT count(*) FROM pause)")
        assert await cursor.fetchone() == (1, 0)


def test_each_function_that_the_store_calls_is_classified() -> None:
    called: set[str] = set()
    for file in STORE.glob("*.py"):
        text = file.read_text()
        called |= set(re.findall(r'call\(\s*"([a-z_]+)"', text))
        called |= set(re.findall(r"SELECT (?:[^;\"]* FROM )?([a-z_]+)\(%s", text))
    assert len(called) > 30
    assert called <= {*roles.WRITES, *roles.READS}, called - {*roles.WRITES, *roles.READS}
