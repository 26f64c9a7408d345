"""Submits on a disk that is full: python -m tests.engine.store.full_disks DIRECTORY PAGES, see `main`.

The directory is a small file system of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine.domain.errors import StoreError
from engine.domain.requests import OnDuplicate
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job

PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Tried:
    """A submit with so many pages left on the disk."""

    free: int
    told: bool
    """Whether it was told to have been submitted,"""
    is_there: bool
    """and whether it was, when the disk had room again and the store was opened anew."""
    said: str


def fill(disk: Path, free: int) -> Path:
    """Leave so many bytes on a disk; the file that takes the others."""
    filler = disk / "filler"
    while True:
        status = os.statvfs(disk)
        with filler.open("wb") as file, suppress(OSError):  # others may have written meanwhile
            os.posix_fallocate(file.fileno(), 0, max(status.f_bavail * status.f_frsize - free, 1))
            return filler


async def submit_with(directory: Path, pages: int) -> Tried:
    store_path = directory / "state" / "jobs.db"
    told, said = True, ""
    async with SqliteStore.open(store_path) as store:
        for number in range(3):
            await store.submit([new_job(f"earlier{number}")], OnDuplicate.REFUSE)
        filler = fill(directory, pages * PAGE)
        try:
            await store.submit([new_job("wanted")], OnDuplicate.REFUSE)
        except StoreError as error:
            told, said = False, str(error)
    filler.unlink()
    async with SqliteStore.open(store_path) as store:
        is_there = await store.count() == 4
    shutil.rmtree(store_path.parent)
    return Tried(pages, told, is_there, said)


async def main(directory: Path, most: int) -> None:
    """Print what came of a submit with 0, 1, 2 ... pages left, as JSON."""
    print(json.dumps([asdict(await submit_with(directory, pages)) for pages in range(most)]))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
