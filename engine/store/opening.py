"""Opens a store of either kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from engine.domain.lazy_import import lazy
from engine.domain.steps import Micros
from engine.domain.value_types import ANY_HOST
from engine.store.location import StoreLocation, driver_missing
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import now

if TYPE_CHECKING:
    from engine.store.postgres import store as postgres_store
    from engine.store.protocol import Store
    from engine.system import current_user
else:
    current_user = lazy("engine.system.current_user", "only a shared store has more than one user")
    postgres_store = lazy("engine.store.postgres.store", "only a shared store needs its driver, which is optional")


@asynccontextmanager
async def opened(
    location: StoreLocation,
    *,
    read_only: bool,
    timeout: float,
    clock: Callable[[], Micros],
    queues: Sequence[str] = (),
    early: bool = False,
) -> AsyncIterator[Store]:
    """Open a store; an embedded one is created where there is none, unless `read_only`.

    Args:
        timeout: seconds to wait for an embedded one that another process locks.
        clock: a shared one has that of its server, unless this is another one than that of the system.
        queues: of a shared one, which workers of this process serve beside that of their host; none: that of any host.
        early: do not wait for the server of a shared one: `Store.admitted` and writes do.

    Raises StoreError, NotAvailableError.
    """
    opening: AbstractAsyncContextManager[Store]
    if location.url is not None:
        given = None if clock is now else clock
        opening = _shared(location.url, read_only=read_only, early=early, clock=given, queues=queues or (ANY_HOST,))
    elif read_only:
        opening = SqliteStore.open_read_only(location.path, clock=clock, timeout=timeout)
    else:
        opening = SqliteStore.open(location.path, clock=clock, timeout=timeout)
    async with opening as store:
        yield store


def _shared(
    url: str, *, read_only: bool, early: bool, clock: Callable[[], Micros] | None, queues: Sequence[str]
) -> AbstractAsyncContextManager[Store]:
    """Raises NotAvailableError."""
    try:
        return postgres_store.PostgresStore.open(
            url, what=url, who=current_user.user_at_host(), read_only=read_only, early=early, clock=clock, queues=queues
        )
    except ImportError as error:
        raise driver_missing(error) from None
