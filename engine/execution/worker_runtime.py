"""The workers of an engine: the parts that run jobs, wired together."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from engine.domain.frozen import frozen
from engine.domain.jobs import JobType
from engine.domain.steps import Micros
from engine.execution.kept_results import KeptResults
from engine.execution.knowledge import StoreKnowledge
from engine.execution.processor import Hosting, JobProcessor
from engine.execution.store_retries import store_log
from engine.execution.worker import DatabaseMaintenanceWorker, JobWorker
from engine.execution.worker_identity import WorkerIdentity
from engine.execution.worker_slots import WorkerSlots
from engine.store.location import StoreLocation
from engine.store.protocol import Store
from engine.targets import resolve


@frozen(kw_only=True)
class HostedWorkers:
    """The workers of an engine; the fields: see `Engine.open`."""

    workers: int
    own_jobs: Collection[int] | None = None
    max_running: int | None = None
    identity: WorkerIdentity | None = None
    config: Path | None = None


@asynccontextmanager
async def hosted_workers(
    store: Store, location: StoreLocation, hosted: HostedWorkers, clock: Callable[[], Micros]
) -> AsyncIterator[JobProcessor]:
    """Run workers while inside."""
    own_jobs, identity = hosted.own_jobs, hosted.identity
    async with store.hosting_workers(serves_all=own_jobs is None, own_jobs=own_jobs, identity=identity) as owner:
        knowledge = StoreKnowledge(
            store,
            await store.fingerprint(),
            config=hosted.config,
            clock=clock,
            before_start=lambda ask: processor.before_start(ask),
        )
        hosting = Hosting(
            owner=owner,
            concurrency=hosted.workers,
            own_jobs_only=own_jobs is not None,
            run=identity.run if identity else None,
            slots=None if hosted.max_running is None else WorkerSlots(location.path, hosted.max_running),
            results=KeptResults(location.path),
        )
        workers: dict[str, JobWorker] = {JobType.OPERATION: DatabaseMaintenanceWorker(resolve, knowledge)}
        processor = JobProcessor(store, workers, hosting, clock)
        processor.adopt(own_jobs or ())
        async with processor.running():
            yield processor


def preload_imports() -> None:
    """Import the modules that a job on SQLite needs, once for all processes forked afterwards."""
    for name in ("session", "running.methods", "running.partial_effects", "running.writeback", "reading.page_map"):
        import_module(f"engine.targets.sqlite.{name}")


def report_store_errors(callback: Callable[[str], None]) -> None:
    """From now on call `callback` with a sentence when the store cannot be written, and when it can be again."""
    store_log.addHandler(_CallbackHandler(callback))


class _CallbackHandler(logging.Handler):
    """Passes log messages to a callback."""

    def __init__(self, callback: Callable[[str], None]) -> None:
        super().__init__()
        self._callback = callback

    def emit(self, record: logging.LogRecord) -> None:
        self._callback(record.getMessage())
