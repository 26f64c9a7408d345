"""Each test here that asks for a store runs on every kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.stores import EmbeddedStores, RescuingStore, SharedStores, Stores
from tests.postgres_server import majors
from tests.shared_stores import copied_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresServer

EMBEDDED = 0
"""In place of the major version of a server."""
NOT_YET: dict[str, tuple[str, ...]] = {
    "kill that proves which process is meant": (
        "test_the_process_that_runs_a_child_is_killed",
        "test_a_process_that_has_the_number_of_a_dead_one_is_left_alone",
    ),
}
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
def stores(request: pytest.FixtureRequest, servers: Callable[[int | None], PostgresServer]) -> Iterator[Stores]:
    if request.param == EMBEDDED:
        path: Path = request.getfixturevalue("tmp_path") / "jobs.db"
        yield EmbeddedStores(path, request.getfixturevalue("empty_store"))
        return
    with copied_store(servers(request.param)) as url:
        yield SharedStores(url)


@pytest.fixture
async def store(stores: Stores) -> AsyncIterator[RescuingStore]:
    async with stores.open() as opened:
        yield opened
