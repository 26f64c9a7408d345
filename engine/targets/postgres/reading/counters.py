"""The counters of the server: before PostgreSQL 15 they are late."""

from __future__ import annotations

import asyncio
from typing import Final

_AT_ONCE: Final = 150_000
_TAKES: Final = 0.6
"""Seconds until others see, before that version, what VACUUM and ANALYZE have counted."""


async def wait_until_counted(version: int) -> None:
    """Wait until what ran just now is counted. `version`: of the server."""
    if version < _AT_ONCE:
        await asyncio.sleep(_TAKES)
