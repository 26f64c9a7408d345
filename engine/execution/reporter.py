"""Reports the progress, steps and log of a running child to the store, in batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from engine.domain.claims import Claim, Report
from engine.domain.errors import StoreError
from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.domain.steps import (
    CLEANING_UP,
    FINISHING,
    LOG_HEAD,
    LOG_LINE_LIMIT,
    LOG_TAIL,
    WAITING,
    WAITS,
    Facts,
    LogLevel,
    LogLine,
    Micros,
    Progress,
    Step,
    WaitsFor,
)
from engine.execution.lock_wait_timer import LockWaitTimer, wait_facts
from engine.execution.plan_progress import PlanProgress, look_ahead
from engine.system.background import end_task, pause_loop
from engine.targets.plans import PlannedStep
from engine.targets.step_execution import StepProgress, StepResult

log = logging.getLogger("dbtend")
INTERVAL = 0.25
"""The least seconds between two reports of one child."""
FIRST_INTERVAL = 0.05
"""Seconds until the first report of a child. It grows to `INTERVAL`: a short operation shows progress, too."""
_OPERATIONS: Final[Mapping[str, Operation]] = {operation.value: operation for operation in Operation}


class Reporter:
    """Collects steps, progress and log lines of one attempt, and sends them in batches.

    A failed send is repeated with the next one; the rest is stored when the child ends. Steps and lines are numbered,
    so sending one twice does no harm.
    """

    def __init__(self, claim: Claim, send: Callable[[Report], Awaitable[None]], clock: Callable[[], Micros]) -> None:
        self._claim = claim
        self._operation = _OPERATIONS.get(claim.operation)
        self._send = send
        self._clock = clock
        self._progress = Progress()
        self._steps: dict[int, Step] = {}
        self._begun: dict[int, Step] = {}
        self._log: dict[int, LogLine] = {}
        self._lines = 0
        self._claimed_at = self._begun_at = clock()
        self._waited_before: Micros = 0
        """Microseconds of waits before the first step."""
        self._planned: Sequence[PlannedStep] = ()
        self._at_once = 1
        self._ending = 0.0
        self._plan_progress: PlanProgress | None = None
        self._running: dict[int, StepProgress] = {}
        self._known_at = self._claimed_at
        """When the last news of a step came."""
        self._pause = min(FIRST_INTERVAL, INTERVAL)
        self._sent_at = self._claimed_at
        self._stands = self._pause
        """Seconds for which a report stands, by those before: the next one waits for news, too."""
        self._over: set[int] = set()
        self._finished_since: dict[int, Micros] = {}
        """When the command of a step ended that is still verified."""
        self._finishing = False
        self._waits = LockWaitTimer(clock)
        self._changed = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._first: asyncio.TimerHandle | None = None
        """Starts the sender a short time after the first news: an operation that ends before that needs none."""

    def wait(self, why: str, waits_for: WaitsFor = WaitsFor.LOCK) -> None:
        """Report a wait before the first step. `why`: for a lock, its holders."""
        if not self._planned:
            phase = f"{WAITING}: {why}" if waits_for is WaitsFor.LOCK else why
            self.report_progress(0, StepProgress(phase=phase, waits_for=waits_for))

    def begin(self, steps: Sequence[PlannedStep], *, at_once: int = 1, ending: float = 0.0) -> None:
        """Set the planned steps, numbered from 1; `at_once` run in parallel. `ending`: seconds that follow the last."""
        self._waits.stop(0)
        self._begun_at, self._waited_before = self._clock(), self._waits.total
        self._planned = steps
        self._at_once = at_once
        self._ending = ending
        self._running.clear()
        self._plan_progress = None

    def add(self, steps: Sequence[PlannedStep]) -> None:
        """Add steps behind those planned."""
        self._planned = (*self._planned, *steps)
        self._plan_progress = None

    def extend(self, steps: Sequence[PlannedStep], *, at_once: int) -> None:
        """Add steps that were not foreseen: the percent is that of all from now on."""
        self.add(steps)
        self._at_once = at_once
        self._progress = replace(self._progress, fraction=None)

    def begin_step(self, number: int) -> None:
        """Record that a step starts. The waits before the first step are shown with it."""
        self._waits.hand_on(0, number)
        self._steps[number] = self._step(number, Status.RUNNING)
        self._begun[number] = self._steps[number]
        self._over.discard(number)  # it may run a second time
        self.report_progress(number, StepProgress())

    def report_progress(self, number: int, progress: StepProgress) -> None:
        """Record the progress of a running step."""
        if self._running.get(number) != progress:
            self._running[number] = progress
            self._known_at = self._clock()
            if self._waits.update(number, waits=progress.waits_for is not None) and number in self._begun:
                self._keep(number, self._begun[number].effect or {})
            self._notify()

    def note(self, number: int, facts: Facts) -> None:
        """Store facts of a running step that recovery needs if this process dies."""
        self._keep(number, facts)
        self._notify()
        self._begin_sending()  # recovery may need them

    def _keep(self, number: int, facts: Facts) -> None:
        """Set the facts of a running step, with its waits so far."""
        kept = {**{name: fact for name, fact in facts.items() if name != WAITS}, **self._waits.waits(number)}
        self._begun[number] = self._steps[number] = replace(self._begun[number], effect=kept or None)

    def command_finished(self, number: int) -> None:
        """Record that the command of a step ended. The verification that follows does not count as its time."""
        if number in self._begun and number not in self._finished_since:
            self._finished_since[number] = self._clock()
            self._running.pop(number, None)
            self._over.add(number)
            self._waits.update(number, waits=False)
            if self._steps.get(number) is self._begun[number]:  # it was never sent as running
                del self._steps[number]

    def end_step(self, number: int, result: StepResult) -> None:
        """Record the result of a step."""
        begun = self._begun.pop(number)
        # The clock may have been set back.
        ended_at = max(self._finished_since.pop(number, 0) or self._clock(), begun.started_at)
        effect = {**(result.effect or {}), **({"left": result.left} if result.left else {})}
        effect |= {**wait_facts(self._waits.stop(number)), **self._waits.waits(number)}
        self._steps[number] = replace(
            begun,
            status=result.status,
            reason=result.reason,
            error=result.error,
            error_is_finding=result.error_is_finding,
            effect=effect or None,
            finished_at=ended_at,
        )
        self._running.pop(number, None)
        if not result.never_began:
            self._over.add(number)
        self._known_at = self._clock()
        self._notify()

    def skip_step(self, number: int, result: StepResult) -> None:
        """Record a step that is not begun. It does not count as done."""
        step = self._step(number, Status.SKIPPED)
        self._steps[number] = replace(
            step, finished_at=step.started_at, reason=result.reason, error=result.error, effect=result.effect
        )
        self._notify()

    def _step(self, number: int, status: Status) -> Step:
        """The planned step with this number, with a new status."""
        planned = self._planned[number - 1]
        return Step(
            number=number,
            attempt=self._claim.attempt,
            object=planned.object,
            command=planned.command,
            operation=planned.operation or self._operation,
            status=status,
            started_at=self._clock(),
        )

    @property
    def waited(self) -> Facts:
        """The total wait so far, as a fact."""
        return wait_facts(self._waits.total_now)

    def mark_uninterruptible(self) -> None:
        """Record that the running steps ignore the cancel so far."""
        self._finishing = True
        self._notify()

    def log(self, level: LogLevel, message: str, *, is_settings: bool = False) -> None:
        """Add a line to the child's log. The middle of a very long log, and of a very long line, is dropped.

        `is_settings`: it only names settings of the connection.
        """
        self._lines += 1
        self._log[self._lines] = LogLine(
            number=self._lines,
            attempt=self._claim.attempt,
            at=self._clock(),
            level=level,
            message=_shortened(message),
            is_settings=is_settings,
        )
        if len(self._log) > LOG_HEAD + LOG_TAIL:  # the store could not be written for long
            del self._log[next(number for number in self._log if number > LOG_HEAD)]
        self._notify()

    async def flush(self) -> bool:
        """Send everything now; whether it is stored."""
        report = self.unsent()
        try:
            await self._send(report)
        except StoreError:
            return False
        self._drop_sent(report)
        return True

    async def stop(self) -> Report:
        """Stop sending; returns the unsent report."""
        if self._first is not None:
            self._first.cancel()
        if self._sender is not None:
            await end_task(self._sender)
        return self.unsent()

    def unsent(self) -> Report:
        """What the store has not been told yet."""
        try:
            self._progress = self._progress_now()
        except ArithmeticError:  # a defect, or absurd numbers of a damaged database: the work goes on
            log.exception("the progress of #%s is unknown", self._claim.job)
        return Report(progress=self._progress, steps=tuple(self._steps.values()), log=tuple(self._log.values()))

    def _progress_now(self) -> Progress:
        """Computed per report only: it walks all steps, and thousands may end between two reports."""
        self._plan_progress = self._plan_progress or PlanProgress(self._planned, at_once=self._at_once)
        before = max(self._begun_at - self._claimed_at - self._waited_before, 0) / 1e6
        worked = max(self._known_at - self._begun_at - self._waits.total + self._waited_before, 0) / 1e6
        progress = self._plan_progress.snapshot(
            self._over, self._running, before=before, worked=worked, ending=self._ending
        )
        fraction, phase = progress.fraction, progress.phase
        if progress.waits_for is None:
            age = (self._clock() - self._known_at) / 1e6 + self._stands / 2
            fraction = look_ahead(fraction, before + worked, age)
        known = [part for part in (fraction, self._progress.fraction) if part is not None]
        if self._finishing and self._running and phase != CLEANING_UP:
            phase = FINISHING
        # A progress bar must not go back.
        return replace(progress, fraction=max(known, default=None), phase=phase, waited=self._waits.total)

    def _notify(self) -> None:
        self._changed.set()
        if self._first is None:
            self._first = asyncio.get_running_loop().call_later(self._pause, self._begin_sending)

    def _begin_sending(self) -> None:
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_reports(), name=f"report {self._claim.job}")

    async def _send_reports(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            before, self._sent_at = self._sent_at, self._clock()
            self._stands = min(max((self._sent_at - before) / 1e6, self._pause), 2 * self._pause)
            report = self.unsent()
            # If the store cannot be written, the next report or the end of the child carries it.
            with suppress(StoreError):
                await self._send(report)
                self._drop_sent(report)
            await pause_loop(self._pause)
            self._pause = min(self._pause * 1.1, INTERVAL)

    def _drop_sent(self, sent: Report) -> None:
        for step in sent.steps:
            if self._steps.get(step.number) is step:
                del self._steps[step.number]
        for line in sent.log:
            self._log.pop(line.number, None)


def _shortened(message: str) -> str:
    if len(message) <= LOG_LINE_LIMIT:
        return message
    half = LOG_LINE_LIMIT // 2
    return f"{message[:half]}\n... {len(message) - 2 * half:,} characters left out ...\n{message[-half:]}"
