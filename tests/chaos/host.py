"""A process that works for a store through the engine alone: python -m tests.chaos.host STORE WORKERS"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from engine import Engine


async def host(store: Path, workers: int) -> None:
    async with Engine.open(store, workers=workers):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(host(Path(sys.argv[1]), int(sys.argv[2])))
