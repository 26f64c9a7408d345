"""Results that the store could not take: kept on this host, also after the death of their process.

A process that can no longer prove to a shared store that it lives ends. What it had completed by then is stored by the
next process of this host that claims the job, and not done again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from engine.domain.claims import Claim, Outcome, Report
from engine.domain.errors import StoreError
from engine.domain.frozen import frozen
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import LogLevel, LogLine, Micros, Progress, Step, WaitsFor
from engine.store.damage_rows import decode_change, encode_change
from engine.system.background import in_background, wait_postponing_cancel
from engine.system.private_files import make_directories, open_private, private_directory

KEEP_AFTER: Final = 0.5
"""Seconds that the store may take before a result is kept on this host."""
_KEPT_FOR: Final = 30 * 86_400
"""Seconds: no job waits that long for its result."""

log = logging.getLogger("dbtend")


@frozen
class KeptResult:
    """How an attempt ended, and what the store had not been told of it."""

    started_at: Micros
    """When the attempt began, by the store: it tells it from an attempt in another store at the same place."""
    outcome: Outcome
    report: Report


class KeptResults:
    """The results that processes of this host keep for a store."""

    def __init__(self, store: Path) -> None:
        """Raises StoreError if the private directory of the store cannot be used."""
        self._directory = private_directory(store) / "results"

    def keep(self, claim: Claim, outcome: Outcome, report: Report) -> None:
        """Write it to the disk; if that fails, it is only in memory."""
        kept = KeptResult(claim.started_at, outcome, report)
        path = self._path(claim, claim.attempt)
        unfinished = path.with_suffix(".new")
        try:
            make_directories(self._directory)
            self._remove_old()
            with os.fdopen(open_private(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), "w") as file:
                stored = dataclasses.asdict(kept)
                stored["outcome"]["damage"] = encode_change(outcome.damage)
                json.dump(stored, file, default=dict)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            _sync(self._directory)
        except (OSError, StoreError, TypeError, ValueError) as error:
            log.warning("the result of #%s is kept in memory only: %s", claim.job, error)

    def drop(self, claim: Claim) -> None:
        """Forget the results of this child: it has ended."""
        for path in self._directory.glob(f"{claim.job}.*"):
            with suppress(OSError):
                path.unlink()

    @asynccontextmanager
    async def kept_meanwhile(
        self, claim: Claim, outcome: Outcome, unsent: Callable[[], Report], *, at_once: bool
    ) -> AsyncIterator[None]:
        """Keep a result while the store does not take it inside, and after that if it never does.

        `unsent`: what the store has not been told of it. `at_once`: else after `KEEP_AFTER` seconds.
        """
        is_kept = outcome.attempt is not None  # of an earlier process

        async def keep() -> None:
            nonlocal is_kept
            is_kept = True
            await wait_postponing_cancel(asyncio.to_thread(self.keep, claim, outcome, unsent()))  # before `drop`

        async with in_background(keep(), f"dbtend-keep-{claim.job}", after=0.0 if at_once else KEEP_AFTER):
            yield
        if is_kept:
            await asyncio.to_thread(self.drop, claim)

    def of_earlier(self, claim: Claim) -> KeptResult | None:
        """The result of the attempt before this one; None if none is kept, or it cannot be read."""
        if claim.attempt == 1:
            return None
        try:
            with os.fdopen(open_private(self._path(claim, claim.attempt - 1), os.O_RDONLY)) as file:
                return _decoded(json.load(file))
        except (OSError, StoreError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def _path(self, claim: Claim, attempt: int) -> Path:
        return self._directory / f"{claim.job}.{attempt}"

    def _remove_old(self) -> None:
        for path in self._directory.iterdir():
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - _KEPT_FOR:
                    path.unlink()


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _decoded(named: Mapping[str, Any]) -> KeptResult:
    outcome, report = named["outcome"], named["report"]
    return KeptResult(
        named["started_at"],
        Outcome(
            **{
                **_typed(outcome, status=Status, reason=Reason),
                "warnings": tuple(outcome["warnings"]),
                "damage": decode_change(outcome["damage"]),
            }
        ),
        Report(
            progress=Progress(**_typed(report["progress"], waits_for=WaitsFor)),
            steps=tuple(
                Step(**_typed(step, status=Status, reason=Reason, operation=Operation)) for step in report["steps"]
            ),
            log=tuple(LogLine(**_typed(line, level=LogLevel)) for line in report["log"]),
        ),
    )


def _typed(named: Mapping[str, Any], **kinds: Callable[[str], object]) -> dict[str, Any]:
    """The values by name, the words among them as members of their vocabulary."""
    return {**named, **{name: kind(named[name]) for name, kind in kinds.items() if named[name] is not None}}
