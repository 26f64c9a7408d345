"""Each test here that asks for a store runs on every kind of store."""

from __future__ import annotations

from contextlib import closing, contextmanager
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.conformance.stores import EmbeddedStores, NewStores, RescuingStore, SharedStores, Stores
from tests.postgres_server import majors
from tests.shared_stores import MEMBER, copied_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresServer

EMBEDDED = 0
"""In place of the major version of a server."""
NOT_YET: dict[str, tuple[str, ...]] = {}
"""By what the shared store lacks: the tests that need it. Who adds it takes them out."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reasons = {test: reason for reason, tests in NOT_YET.items() for test in tests}
    for item in items:
        if isinstance(item, pytest.Function) and item.originalname in reasons and "embedded" not in item.name:
            reason = f"the shared store has no {reasons[item.originalname]} yet"
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))


@pytest.fixture(
    params=[
        pytest.param(EMBEDDED, id="embedded", marks=pytest.mark.fast),
        *(pytest.param(major, id=f"shared-pg{major}") for major in majors()),
    ]
)
def new_stores(
    request: pytest.FixtureRequest,
    servers: Callable[[int | None], PostgresServer],
    tmp_path: Path,
    empty_store: Path,
) -> NewStores:
    numbers = count()

    @contextmanager
    def embedded() -> Iterator[Stores]:
        directory = tmp_path / str(next(numbers))
        directory.mkdir()
        with closing(EmbeddedStores(directory / "jobs.db", empty_store)) as stores:
            yield stores

    @contextmanager
    def shared() -> Iterator[Stores]:
        with copied_store(server, MEMBER) as url, closing(SharedStores(url)) as stores:
            yield stores

    if request.param == EMBEDDED:
        return NewStores(embedded, is_fast=True)
    server = servers(request.param)
    return NewStores(shared, is_fast=False)


@pytest.fixture
def stores(new_stores: NewStores) -> Iterator[Stores]:
    with new_stores() as made:
        yield made


@pytest.fixture
async def store(stores: Stores) -> AsyncIterator[RescuingStore]:
    async with stores.open() as opened:
        yield opened
