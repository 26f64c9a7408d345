"""A server that crashed has forgotten what was about to reach its disk: who heard of that looks again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.domain.events import Change, Lagged
from engine.domain.requests import OnDuplicate, Operation
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.store.postgres import change_watch
from engine.store.postgres.store import PostgresStore
from tests.building import new_job
from tests.postgres_databases import as_admin

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

FORGET = "DELETE FROM dbtend.event WHERE seq = 2"
END_WATCH = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dbtend watch'"
ASYNCHRONOUS = """CREATE FUNCTION dbtend.note_setting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.seen VALUES (current_setting('synchronous_commit'), pg_current_wal_insert_lsn()); RETURN NULL;
END $$;
CREATE TABLE public.seen (setting text, written pg_lsn);
GRANT ALL ON public.seen TO public;
CREATE TRIGGER noted AFTER INSERT ON dbtend.event EXECUTE FUNCTION dbtend.note_setting()"""


async def test_a_number_that_is_given_again_is_heard_again(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_watch, "RECONNECT_AFTER", 0.01)
    async with (
        PostgresStore.open(store_url, what="the store") as store,
        PostgresStore.open(store_url, what="the store") as other,
    ):
        changes = ParentJobOrchestrator(store).changes()
        await other.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.ADD)
        heard = [await anext(changes) for _ in range(2)]
        assert [change.seq for change in heard] == [1, 2]
        with as_admin(store_url) as admin:
            admin.execute(FORGET)
            admin.execute(END_WATCH)
            await store.next_change(2)  # it has noticed
        assert await anext(changes) == Lagged(2, 2)
        await store.submit([new_job("stock", Operation.VACUUM)], OnDuplicate.ADD)
        again = [await anext(changes) for _ in range(2)]
        assert [change.seq for change in again if isinstance(change, Change)] == [2, 3]


async def test_no_lock_is_held_while_a_disk_is_slow_and_an_answer_waits_for_it(
    postgres: PostgresServer, store_url: str
) -> None:
    """The commit that others wait for is asynchronous; the answer comes after one that is not."""
    with as_admin(store_url) as admin:
        admin.execute("SELECT set_config('search_path', 'dbtend', false)")
        admin.execute(ASYNCHRONOUS)
        admin.execute("ALTER ROLE postgres SET synchronous_commit = on")
        try:
            async with PostgresStore.open(store_url, what="the store") as store:
                await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.ADD)
                query = "SELECT DISTINCT setting, written < pg_current_wal_flush_lsn() FROM public.seen"
                assert admin.execute(query).fetchall() == [("off", True)]
        finally:
            admin.execute("ALTER ROLE postgres RESET synchronous_commit")


def test_a_commit_tells_of_its_change_where_somebody_waits(store_url: str) -> None:
    with as_admin(store_url) as writer, as_admin(store_url) as listener:
        writer.execute("SET search_path = dbtend")
        listener.execute(f"LISTEN {change_watch.CHANNEL}".encode())
        writer.execute("SELECT pause('me', NULL)")
        listener.execute(change_watch.BEGIN_WAIT.encode())
        assert list(listener.notifies(timeout=0)) == []
        writer.execute("SELECT resume(NULL)")
        assert [told.payload for told in listener.notifies(timeout=10, stop_after=1)] == [""]
