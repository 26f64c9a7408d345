"""Telling the store how a running child gets on: often enough to be live, seldom enough to be cheap."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from engine.errors import StoreError
from engine.execution import Claim, Report
from engine.jobs import LOG_HEAD, LOG_LINE_LIMIT, LOG_TAIL, LogLevel, LogLine, Micros, Progress, Status, Step
from engine.targets.base import PlannedStep, StepResult

INTERVAL = 0.25
"""Seconds between two reports of one child, at least."""


class Reporter:
    """Collects steps, progress and log lines of one attempt, and sends them on in batches.

    What a send did not deliver goes with the next one, and what is left goes with the child's end. Steps and
    lines are numbered, so to send one twice does no harm.
    """

    def __init__(self, claim: Claim, send: Callable[[Report], Awaitable[None]], clock: Callable[[], Micros]) -> None:
        self._claim = claim
        self._send = send
        self._clock = clock
        self._progress = Progress()
        self._steps: dict[int, Step] = {}
        self._log: dict[int, LogLine] = {}
        self._lines = 0
        self._running: Step | None = None
        self._news = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    def begin_step(self, number: int, step: PlannedStep, *, of: int) -> None:
        """A step starts: the `number`th of `of`."""
        self._running = Step(
            number=number,
            attempt=self._claim.attempt,
            object=step.object,
            command=step.command,
            status=Status.RUNNING,
            started_at=self._clock(),
        )
        self._steps[number] = self._running
        fraction = (number - 1) / of if number > 1 else None  # in the first step nothing is known yet
        self._progress = Progress(fraction=fraction, object=step.object, steps_done=number - 1, steps_total=of)
        self._has_news()

    def end_step(self, result: StepResult) -> None:
        """The step that was begun last is over."""
        assert self._running is not None, "a step ends that has not begun"  # noqa: S101 - a bug of ours
        ended_at = max(self._clock(), self._running.started_at)  # the clock may have been set back
        step = replace(self._running, status=result.status, error=result.error, finished_at=ended_at)
        self._steps[step.number] = step
        self._progress = replace(
            self._progress, steps_done=step.number, fraction=step.number / self._progress.steps_total, phase=None
        )
        self._has_news()

    def enter_phase(self, phase: str) -> None:
        """The running step goes into another phase; the next step begins without one."""
        self._progress = replace(self._progress, phase=phase)
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
        return Report(progress=self._progress, steps=tuple(self._steps.values()), log=tuple(self._log.values()))

    def _has_news(self) -> None:
        self._news.set()
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_news(), name=f"report {self._claim.job}")

    async def _send_news(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            report = self._unsent()
            # A store that cannot be written now gets it with the next report, or with the child's end.
            with suppress(StoreError):
                await self._send(report)
                self._forget(report)
            await asyncio.sleep(INTERVAL)

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
