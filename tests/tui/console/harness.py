"""The console on a real store, driven by keys, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.worker import Worker, WorkerCancelled

from engine import Engine, JobId, OnDuplicate, Operation, ParentJob, Progress, Status, Step, StoreLocation
from engine.config.model import ConsoleConfig, TargetEntry
from engine.domain.claims import Claim, Outcome, Report
from engine.domain.jobs import JobType
from engine.domain.statuses import Reason
from engine.domain.steps import FINISHING, LogLevel, LogLine
from engine.store.sqlite import liveness, store_admin
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.tui.console.quiet import draw_what_has_changed
from tests.waiting import eventually
from tui.console.app import DbtendApp
from tui.console.saved_targets import SavedTargets
from tui.console.widgets.detail_pane import DetailPane
from tui.console.widgets.job_tree import JobTree
from tui.console.widgets.line_view import LineView
from tui.console.widgets.one_line import OneLine

SECOND = 1_000_000
SETTLED_AFTER = 120.0
"""Seconds after which work that does not end fails a test."""
ENDLESS = frozenset({"feed"})
"""Workers of the app that never end by themselves."""


class Clock:
    """Microseconds that pass only in `forward`."""

    def __init__(self) -> None:
        self.now = 1_795_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@dataclass
class Console:
    """A running console."""

    app: DbtendApp
    engine: Engine
    pilot: Pilot[None]

    async def press(self, *keys: str) -> None:
        """Press each key when all that the one before it started is done. The screen is drawn after the last one, and
        reads then what has come into view."""
        for number, key in enumerate(keys, 1):
            await self.pilot.press(key)
            await self.settle(drawn=number == len(keys))

    async def settle(self, *, drawn: bool = True) -> None:
        """Wait until everything that the last key started is done, or the console has ended.

        `drawn`: and what it shows is drawn.
        """
        await self.pilot.pause()
        async with asyncio.timeout(SETTLED_AFTER):
            while self.app.return_code is None:
                if begun := self._begun:
                    # A worker that was replaced by a newer one ends as cancelled.
                    with suppress(WorkerCancelled):
                        await asyncio.gather(*(worker.wait() for worker in begun))
                elif self.app.keys.is_busy:  # a key waits for what a thread answers
                    await eventually(
                        lambda: self._begun or not self.app.keys.is_busy or self.app.return_code is not None
                    )
                elif not (drawn and draw_what_has_changed(self.app)):
                    return
                await self.pilot.pause()

    @property
    def _begun(self) -> list[Worker[Any]]:
        return [w for w in self.app.workers if w.name not in ENDLESS and not w.is_finished]

    async def until(self, condition: Callable[[], object], *, settled: bool = True) -> None:
        """Wait for a condition; a failure shows the text of the screen.

        `settled`: also wait until everything that was started is done.
        """

        async def is_so() -> object:
            if not (found := condition()):
                draw_what_has_changed(self.app)
                await self.pilot.pause()
            return found

        await eventually(is_so, otherwise=lambda: "\n".join(["never true:", *self.lines("*")]))
        if settled:
            await self.settle()

    def lines(self, selector: str = "#jobs") -> list[str]:
        """The lines of a list or page, in view or not."""
        found = list(self.app.screen.query(selector).results(LineView))  # none before the first drawing
        return [view.line_at(number).text.rstrip() for view in found for number in range(view.line_count)]

    def text(self, selector: str) -> str:
        """The text of the header or the footer."""
        widget = self.app.screen.query_one(selector, OneLine)
        return widget.render_line(0).text.strip()

    @property
    def message(self) -> str:
        """The message line."""
        return " ".join(line.strip() for line in self.lines("#message"))

    @property
    def banner(self) -> str:
        """The status banner."""
        return " ".join(line.strip() for line in self.lines("#banner"))

    @property
    def tree(self) -> JobTree:
        return self.app.screen_stack[0].query_one(JobTree)

    @property
    def detail(self) -> DetailPane:
        return self.app.screen_stack[0].query_one(DetailPane)

    @property
    def screen_name(self) -> str:
        return type(self.app.screen).__name__


@asynccontextmanager
async def open_console(
    store: Path | StoreLocation,
    *targets: TargetEntry,
    clock: Clock,
    size: tuple[int, int] = (80, 24),
    workers: int = 0,
    theme: str | None = "dbtend",
    ensure_worker: Callable[[], None] = lambda: None,
    worker_lacks: Callable[[str], str] = lambda _: "",
    read_only: bool = False,
    saved: SavedTargets | None = None,
    settled: bool = True,
    early: bool = False,
) -> AsyncIterator[Console]:
    """`settled`: wait for the inspection of all targets. `early`: see `Engine.open`."""
    async with Engine.open(store, workers=workers, clock=clock, read_only=read_only, early=early) as engine:
        app = DbtendApp(
            engine,
            targets,
            ensure_worker=ensure_worker,
            worker_lacks=worker_lacks,
            saved=saved,
            config=ConsoleConfig(theme=theme),
            clock=clock,
            person="dba@desk",
        )
        async with app.run_test(size=size) as pilot:
            console = Console(app, engine, pilot)
            if settled:
                await console.settle()
                await console.until(lambda: console.tree.line_count)
            yield console


def entry(name: str = "sales.db", **more: object) -> TargetEntry:
    """A target in the current directory, so that no snapshot shows an absolute path."""
    return TargetEntry(name=name, url=name, **more)  # type: ignore[arg-type]


def chosen(console: Console) -> list[str]:
    """The operations that are selected on the current target."""
    return [line.split()[1] for line in console.lines("#operations") if line.startswith("[x]")]


# Worker processes, played by the test itself.

FAR_AWAY = 4_000_000_000 * SECOND
"""Later than any test."""


@asynccontextmanager
async def worker_process(
    store: SqliteStore, clock: Clock, *, pid: int, host: str = "db1", serves_all: bool = True, last_beat: int = FAR_AWAY
) -> AsyncIterator[str]:
    """A worker process; yields its owner id. It ends as if killed by SIGKILL."""
    owner = f"process-{pid}"
    with liveness.proof_of_life(store.path, owner):
        os.utime(store.path.with_name(store.path.name + ".d") / f"{owner}.lock", (last_beat // SECOND,) * 2)
        await store._writer.run(lambda c: store_admin.register_worker(c, owner, pid, host, serves_all, at=clock()))
        yield owner


# Jobs written directly into the store, with fixed durations and sizes.

MB = 1_000_000


def _step(number: int, table: str, command: str, clock: Clock, kind: Operation, *, error: str | None = None) -> Step:
    began = clock.now
    clock.forward(0.4)
    status = Status.FAILED if error else Status.COMPLETED
    return Step(
        number=number, attempt=1, object=table, command=command, status=status,
        started_at=began, finished_at=clock.now, error=error, operation=kind,
    )  # fmt: skip


async def add_completed_job(store: SqliteStore, owner: str, clock: Clock, target: str = "sales") -> int:
    """A parent whose four children have completed."""
    (parent_id,) = await store.submit([new_job(target)], OnDuplicate.REFUSE)
    commands = {
        "vacuum": ("main", "VACUUM"),
        "analyze": ("orders", 'ANALYZE main."orders"'),
        "reindex": ("my-index", 'REINDEX main."my-index"'),
        "optimize": ("main", "PRAGMA optimize=0x10012"),
    }
    before = {"size": 24.1 * MB, "free_pages": 1620}
    after = {"size": 14.3 * MB, "free_pages": 0}
    while claim := await store.claim(owner, [parent_id]):
        table, command = commands[claim.operation]
        step = _step(1, table, command, clock, Operation(claim.operation))
        outcome = Outcome(
            status=Status.COMPLETED,
            before=before if claim.operation == "vacuum" else after,
            after=after,
            warnings=("the log could not be emptied",) if claim.operation == "optimize" else (),
        )
        log = (LogLine(number=1, attempt=1, at=clock.now, level=LogLevel.INFO, message=f"{table} done"),)
        progress = Progress(fraction=1.0, object=table, steps_done=1, steps_total=1)
        await store.finish(claim, outcome, Report(progress=progress, steps=(step,), log=log))
    return parent_id


async def add_checked_job(store: SqliteStore, owner: str, clock: Clock, target: str = "shop") -> int:
    """A check of 24 indexes that has completed; one of them was damaged."""
    (parent_id,) = await store.submit([new_job(target, Operation.CHECK)], OnDuplicate.REFUSE)
    claim = await store.claim(owner, [parent_id])
    assert claim is not None
    error = "item order invariant violated"
    steps = []
    for n in range(1, 25):
        command = f"SELECT public.bt_index_check('public.item_{n}'::regclass, true)"
        step = _step(n, f"public.item_{n}", command, clock, Operation.CHECK, error=error if n == 7 else None)
        clock.forward(n / 10)
        steps.append(replace(step, finished_at=clock.now))
    outcome = Outcome(
        status=Status.FAILED,
        reason=Reason.OPERATION_ERROR,
        error=f"public.item_7: {error}",
        after={"findings": 1, "level": "full"},
    )
    await store.finish(claim, outcome, Report(progress=Progress(steps_done=24, steps_total=24), steps=tuple(steps)))
    return parent_id


async def add_failed_job(store: SqliteStore, owner: str, clock: Clock, target: str = "app") -> int:
    """A parent whose only child failed at one of two indexes."""
    (parent_id,) = await store.submit([new_job(target, Operation.REINDEX)], OnDuplicate.REFUSE)
    claim = await store.claim(owner, [parent_id])
    assert claim is not None
    error = "UNIQUE constraint failed: item.note"
    steps = (
        _step(1, "order", 'REINDEX main."order"', clock, Operation.REINDEX),
        _step(2, "broken", 'REINDEX main."broken"', clock, Operation.REINDEX, error=error),
    )
    outcome = Outcome(
        status=Status.FAILED, reason=Reason.OPERATION_ERROR, error=f"broken: {error}; 1 of 2 steps failed"
    )
    await store.finish(
        claim, outcome, Report(progress=Progress(object="broken", steps_done=2, steps_total=2), steps=steps)
    )
    return parent_id


async def add_running_job(store: SqliteStore, owner: str, clock: Clock, target: str = "sales") -> int:
    """A parent whose first child is over and whose second is at its third of nine tables."""
    (parent_id,) = await store.submit([new_job(target)], OnDuplicate.REFUSE)
    claim = await store.claim(owner, [parent_id])
    assert claim is not None
    vacuum = _step(1, "main", "VACUUM", clock, Operation.VACUUM)
    facts = {"size": 24.1 * MB}, {"size": 14.3 * MB}
    claim = await store.finish_and_claim(
        claim, Outcome(status=Status.COMPLETED, before=facts[0], after=facts[1]), Report(steps=(vacuum,)), [parent_id]
    )
    assert claim is not None
    done = tuple(_step(n, f"table {n}", f'ANALYZE main."table {n}"', clock, Operation.ANALYZE) for n in (1, 2))
    now = Step(
        number=3, attempt=1, object="orders", command='ANALYZE main."orders"', status=Status.RUNNING,
        started_at=clock.now,
    )  # fmt: skip
    progress = Progress(fraction=0.27, object="orders", steps_done=2, steps_total=9)
    await store.report(claim, Report(progress=progress, steps=(*done, now)))
    clock.forward(4)
    return parent_id


async def finish_job(store: SqliteStore, owner: str, clock: Clock, parent_id: int) -> None:
    """End the running child of `add_running_job`, and all that come after it."""
    claim: Claim | None = _claim_of_running(owner, parent_id)
    while claim is not None:
        clock.forward(1)
        claim = await store.finish_and_claim(claim, Outcome(status=Status.COMPLETED), Report(), [parent_id])


def _claim_of_running(owner: str, parent_id: int) -> Claim:
    return Claim(
        job=JobId(parent_id, 2), type=JobType.OPERATION, attempt=1, owner=owner, target="sqlite:///sales.db",
        operation="analyze", options=None,
    )  # fmt: skip


def statuses(parent: ParentJob) -> list[str]:
    return [child.status.value for child in parent.children]


async def add_rescued_job(store: SqliteStore, clock: Clock, target: str = "sales") -> int:
    """A parent whose only child is pending again, because the process that ran it has died."""
    (parent_id,) = await store.submit([new_job(target, Operation.VACUUM)], OnDuplicate.REFUSE)
    async with worker_process(store, clock, pid=4709) as owner:
        claim = await store.claim(owner, [parent_id])
        assert claim is not None
        step = Step(
            number=1, attempt=1, object="main", command="VACUUM", status=Status.RUNNING, started_at=clock.now
        )  # fmt: skip
        await store.report(claim, Report(progress=Progress(object="main", steps_total=1), steps=(step,)))
        clock.forward(83)
    await store.rescue()
    clock.forward(2)
    return parent_id


async def begin_again(store: SqliteStore, owner: str, clock: Clock, parent_id: int) -> None:
    """Let `owner` run the child of `add_rescued_job` once more."""
    claim = await store.claim(owner, [parent_id])
    assert claim is not None
    step = Step(
        number=1, attempt=claim.attempt, object="main", command="VACUUM", status=Status.RUNNING, started_at=clock.now
    )  # fmt: skip
    await store.report(claim, Report(progress=Progress(object="main", steps_total=1), steps=(step,)))
    clock.forward(12)


async def stop_in_vain(store: SqliteStore, owner: str, clock: Clock, parent_id: int) -> None:
    """Ask the running child of `add_running_job` to stop; it goes on, and says so."""
    await store.request_cancel(JobId(parent_id, 2))
    clock.forward(1)
    progress = Progress(fraction=0.81, object="orders", steps_done=2, steps_total=9, phase=FINISHING)
    await store.report(_claim_of_running(owner, parent_id), Report(progress=progress))


async def add_limited_job(store: SqliteStore, owner: str, clock: Clock, target: str = "sales") -> int:
    """A parent whose time limit came while its second child ran: the last two were skipped."""
    new = new_job(target)
    options = replace(new.request.options, stop_at_limit=True)
    limit = clock.now + 60 * SECOND
    limited = replace(new, request=replace(new.request, options=options), deadline_at=limit)
    (parent_id,) = await store.submit([limited], OnDuplicate.REFUSE)
    claim = await store.claim(owner, [parent_id])
    assert claim is not None
    clock.forward(50)
    claim = await store.finish_and_claim(claim, Outcome(status=Status.COMPLETED), Report(), [parent_id])
    assert claim is not None
    clock.forward(10)
    await store.enforce_time_limits()
    stopped = Outcome(status=Status.CANCELLED, error="stopped after 2 of 9 steps; the completed steps stay")
    await store.finish(claim, stopped, Report(progress=Progress(steps_done=2, steps_total=9)))
    return parent_id
