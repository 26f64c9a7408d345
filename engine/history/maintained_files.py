"""Which files are targets: an operation that removes files keeps its hands off them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config.reader import load_config
from engine.domain.errors import ConfigError, NotAvailableError, StoreError, UsageError
from engine.targets import file_named

if TYPE_CHECKING:
    from engine.store.protocol import JobReader


async def maintained_files(store: JobReader, config: Path | None) -> frozenset[str] | None:
    """The paths of all files that are targets of this config file or of an open job; None if that cannot be read."""
    try:
        open_targets = await store.open_targets()
        configured = () if config is None else (await asyncio.to_thread(load_config, config, required=False)).targets
    except (ConfigError, StoreError):
        return None
    return frozenset(_paths([*open_targets, *(entry.url for entry in configured)]))


def _paths(urls: Iterable[str]) -> Iterator[str]:
    for url in urls:
        with suppress(UsageError, NotAvailableError):  # then it is no file
            if (path := file_named(url)) is not None:
                yield path
