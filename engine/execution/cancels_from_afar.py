"""Cancels by force that other hosts ask for: carried out beside a pool of worker processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from engine.domain.lazy_import import lazy
from engine.store.location import StoreLocation

if TYPE_CHECKING:
    from engine.store.postgres import kill_requests
else:
    kill_requests = lazy("engine.store.postgres.kill_requests", "only a shared store needs its driver")


def cancelling_from_afar(store: StoreLocation, pool: int) -> Callable[[int], None] | None:
    """Kills processes of this pool where another host asks for that, until a file descriptor can be read.

    None where there is no other host.
    """
    return partial(_obey, store.url, pool) if store.url is not None else None


def _obey(url: str, pool: int, lifeline: int) -> None:
    kill_requests.obey(url, pool=pool, lifeline=lifeline)
