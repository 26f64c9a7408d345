"""Administration of a shared store: `dbtend store`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.domain.errors import StoreError, UsageError
from engine.domain.lazy_import import lazy
from engine.domain.store_reports import StoreCheck, StoreCopied, StoreMade
from engine.store.location import StoreLocation, driver_missing

if TYPE_CHECKING:
    from engine.store.copying import copying
    from engine.store.postgres import administration
else:
    administration = lazy("engine.store.postgres.administration", "its driver is optional")
    copying = lazy("engine.store.copying.copying", "its driver is optional")


async def init(location: StoreLocation) -> StoreMade:
    """Make the store, or upgrade and repair it. Raises UsageError, StoreError, NotAvailableError."""
    url = _shared(location)
    try:
        return await administration.init(url)
    except ImportError as error:
        raise driver_missing(error) from None


async def check(location: StoreLocation) -> StoreCheck:
    """Changes nothing. Raises UsageError, StoreError, NotAvailableError."""
    url = _shared(location)
    try:
        return await administration.check(url)
    except ImportError as error:
        raise driver_missing(error) from None


def _shared(location: StoreLocation, why_not_file: str = "opening it makes or upgrades it") -> str:
    if location.url is None:
        why = f"is the file of an embedded store: {why_not_file}"
        raise UsageError(str(location), why, "give the URL of a shared store: postgresql://USER@HOST/DATABASE")
    return location.url


async def copy(source: StoreLocation, to: StoreLocation, on_progress: Callable[[int, int], None]) -> StoreCopied:
    """Copy the history of a store into a shared one that holds no jobs of its own.

    Args:
        on_progress: called with how many jobs are copied, and of how many.

    Interrupted, it goes on from there when it is called again. Raises UsageError, StoreError, NotAvailableError.
    """
    url = _shared(to, "jobs are copied into a shared store only")
    if not source.exists():
        raise StoreError(str(source), "there is no such store", "give the file of an embedded store, or a URL")
    if source == to:
        raise UsageError(str(source), "cannot be copied into itself", "name two stores")
    try:
        return await copying.copy(source, url, on_progress)
    except ImportError as error:
        raise driver_missing(error) from None
