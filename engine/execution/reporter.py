"""Telling the store how a running child gets on: often enough to be live, seldom enough to be cheap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

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
    Facts,
    LogLevel,
    LogLine,
    Micros,
    Progress,
    Step,
    WaitsFor,
)
from engine.execution.lock_wait_timer import LockWaitTimer, wait_facts
from engine.execution.plan_progress import PlanProgress
from engine.targets.protocol import PlannedStep, StepProgress, StepResult

log = logging.getLogger("dbtend")
INTERVAL = 0.25
"""Seconds between two reports of one child, at least;"""
FIRST_INTERVAL = 0.05
"""but at first so many, growing: what is over in a second is seen to get on, too."""


class Reporter:
    """Collects steps, progress and log lines of one attempt, and sends them on in batches.

    What a send did not deliver goes with the next one, and what is left goes with the child's end. Steps and
    lines are numbered, so to send one twice does no harm.
    """

    def __init__(self, claim: Claim, send: Callable[[Report], Awaitable[None]], clock: Callable[[], Micros]) -> None:
        self._claim = claim
        self._operation = Operation(claim.operation) if claim.operation in list(Operation) else None
        self._send = send
        self._clock = clock
        self._progress = Progress()
        self._steps: dict[int, Step] = {}
        self._begun: dict[int, Step] = {}
        self._log: dict[int, LogLine] = {}
        self._lines = 0
        self._planned: Sequence[PlannedStep] = ()
        self._at_once = 1
        self._course: PlanProgress | None = None
        self._running: dict[int, StepProgress] = {}
        self._over: set[int] = set()
        self._over_since: dict[int, Micros] = {}
        """Those whose command is over, and nothing else."""
        self._finishing = False
        self._waits = LockWaitTimer(clock)
        self._news = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    def wait(self, why: str, waits_for: WaitsFor = WaitsFor.LOCK) -> None:
        """Before anything begins, others are waited for; of a lock, `why` is who holds it."""
        if not self._planned:
            phase = f"{WAITING}: {why}" if waits_for is WaitsFor.LOCK else why
            self.tell(0, StepProgress(phase=phase, waits_for=waits_for))

    def begin(self, steps: Sequence[PlannedStep], *, at_once: int = 1) -> None:
        """These steps are going to run, numbered from 1, so many of them at once."""
        self._waits.over(0)
        self._planned = steps
        self._at_once = at_once
        self._running.clear()
        self._course = None

    def begin_step(self, number: int) -> None:
        """A step starts."""
        self._steps[number] = self._step(number, Status.RUNNING)
        self._begun[number] = self._steps[number]
        self._over.discard(number)  # it may have been begun before
        self.tell(number, StepProgress())

    def tell(self, number: int, progress: StepProgress) -> None:
        """A running step is so far."""
        if self._running.get(number) != progress:
            self._running[number] = progress
            self._waits.tell(number, waits=progress.waits_for is not None)
            self._has_news()

    def note(self, number: int, facts: Facts) -> None:
        """What is kept of a running step until it has ended."""
        self._begun[number] = self._steps[number] = replace(self._begun[number], effect=facts)
        self._has_news()

    def command_finished(self, number: int) -> None:
        """What is left of a running step are looks at what it did: these take none of its time."""
        if number in self._begun and number not in self._over_since:
            self._over_since[number] = self._clock()
            self._running.pop(number, None)
            self._over.add(number)
            self._waits.tell(number, waits=False)
            if self._steps.get(number) is self._begun[number]:  # it was never seen to run
                del self._steps[number]

    def end_step(self, number: int, result: StepResult) -> None:
        """A step that was begun is over."""
        begun = self._begun.pop(number)
        # The clock may have been set back.
        ended_at = max(self._over_since.pop(number, 0) or self._clock(), begun.started_at)
        effect = {**(result.effect or {}), **({"left": result.left} if result.left else {})}
        effect |= wait_facts(self._waits.over(number))
        self._steps[number] = replace(
            begun, status=result.status, error=result.error, effect=effect or None, finished_at=ended_at
        )
        self._running.pop(number, None)
        if not result.never_began:
            self._over.add(number)
        self._has_news()

    def leave_out(self, number: int, why: str) -> None:
        """A step is not begun. It does not count as done."""
        step = self._step(number, Status.SKIPPED)
        self._steps[number] = replace(step, finished_at=step.started_at, error=why)
        self._has_news()

    def _step(self, number: int, status: Status) -> Step:
        """The planned step with this number, as it stands from now on."""
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
        """For how long nothing was done but to wait for others, once all is over."""
        return wait_facts(self._waits.together)

    def goes_on(self) -> None:
        """What was asked to stop does not, so far."""
        self._finishing = True
        self._has_news()

    def log(self, level: LogLevel, message: str) -> None:
        """Add a line to the child's log. Of very many lines the middle is left out, and so of a very long line."""
        self._lines += 1
        self._log[self._lines] = LogLine(
            number=self._lines, attempt=self._claim.attempt, at=self._clock(), level=level, message=_shortened(message)
        )
        if len(self._log) > LOG_HEAD + LOG_TAIL:  # the store has not taken any for long
            del self._log[next(number for number in self._log if number > LOG_HEAD)]
        self._has_news()

    async def stop(self) -> Report:
        """Send no more reports; what is still unsent."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait({self._sender})
        return self._unsent()

    def _unsent(self) -> Report:
        try:
            self._progress = self._progress_now()
        except ArithmeticError:  # a defect of ours, or absurd numbers of a damaged database: the work and its end go on
            log.exception("how far #%s is cannot be told", self._claim.job)
        return Report(progress=self._progress, steps=tuple(self._steps.values()), log=tuple(self._log.values()))

    def _progress_now(self) -> Progress:
        """Only reports ask for it: it looks at every step, and thousands may come between two reports."""
        self._course = self._course or PlanProgress(self._planned, at_once=self._at_once)
        progress = self._course.so_far(self._over, self._running)
        known = [part for part in (progress.fraction, self._progress.fraction) if part is not None]
        # Nobody wants to see a bar go back.
        progress = replace(progress, fraction=max(known, default=None), waited=self._waits.together)
        goes_on = self._finishing and self._running and progress.phase != CLEANING_UP
        return replace(progress, phase=FINISHING) if goes_on else progress

    def _has_news(self) -> None:
        self._news.set()
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_news(), name=f"report {self._claim.job}")

    async def _send_news(self) -> None:
        pause = min(FIRST_INTERVAL, INTERVAL)
        while True:
            await self._news.wait()
            self._news.clear()
            report = self._unsent()
            # A store that cannot be written now gets it with the next report, or with the child's end.
            with suppress(StoreError):
                await self._send(report)
                self._forget(report)
            await asyncio.sleep(pause)
            pause = min(pause * 1.1, INTERVAL)

    def _forget(self, sent: Report) -> None:
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
