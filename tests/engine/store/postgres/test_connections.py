"""Several questions in one round trip."""

from __future__ import annotations

import psycopg
import pytest

from engine.store.postgres.connections import answers, connected
from tests.postgres_databases import Database


async def test_statements_that_go_together_are_transactions_of_their_own(database: Database) -> None:
    database("CREATE TABLE public.item (a int)")
    async with connected(database.url, "the store", "test") as connection:
        (first,), (second,), none = await answers(
            connection, *["SELECT pg_current_xact_id()::text"] * 2, "SELECT a FROM public.item"
        )
        assert first != second
        assert none == []
        with pytest.raises(psycopg.errors.UndefinedTable):
            await answers(
                connection, "INSERT INTO public.item VALUES (7) RETURNING a", "SELECT a FROM public.none", "SELECT 1"
            )
        ((there,),) = await answers(connection, "SELECT a FROM public.item")
        assert there == (7,)
