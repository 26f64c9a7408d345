from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.shared_stores import copied_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres_server import PostgresServer


@pytest.fixture
def store_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty shared store, for who made it."""
    with copied_store(postgres) as url:
        yield url
