"""Surveys the targets of the console in the background, once a screen shows their levels."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from textual.worker import Worker

from engine.config.model import TargetEntry
from engine.domain.errors import DbtendError
from engine.domain.surveys import Survey, SurveyCause
from tui.console.console_screen import ConsoleScreen
from tui.console.parts.retry import Retry
from tui.console.target_model import TargetModel
from tui.console.update_pace import UpdatePace, in_slices

MANY: Final = 10_000
"""From so many targets on the collector of garbage leaves out their surveys."""


class TargetSurveys:
    """Writes surveys and newest jobs into the model: kept ones at once, then those that were renewed."""

    def __init__(self, screen: ConsoleScreen[Any], model: TargetModel, changed: Callable[[], None]) -> None:
        """
        Args:
            screen: runs the worker; it stays as long as the console.
            changed: called when the model has changed.
        """
        self._screen, self._model, self._changed = screen, model, changed
        self._engine = screen.context.engine
        self._urls = screen.context.names.canonical
        self._waiting: dict[int, bool] = {}
        """The targets to survey next, and whether a fresh survey is repeated, too."""
        self._retry = Retry(screen, lambda: self.survey(self._locked))
        self._is_running = False
        self._total = 0
        self._done = 0
        self.has_begun = False
        """Whether a screen needs surveys."""

    @property
    def fraction(self) -> float | None:
        """How much of the running survey is done; None: none is running."""
        return self._done / max(self._total, 1) if self._is_running else None

    def begin(self) -> None:
        """Show the kept surveys, and renew those that are not fresh; only the first call does so."""
        if not self.has_begun:
            self.has_begun = True
            self.survey(self._model.states)

    def survey(self, numbers: Iterable[int], *, refresh: bool = False) -> None:
        """Survey these targets; `refresh`: also those with a fresh survey."""
        for number in numbers:
            if number in self._model.states and not self._model.states[number].is_pattern:
                self._waiting[number] = refresh or self._waiting.get(number, False)
        if self._waiting and self.has_begun and not self._is_running:
            self._is_running = True
            _: Worker[None] = self._screen.run_worker(self._run, group="surveys")

    async def _run(self) -> None:
        begun: dict[int, bool] = {}
        try:
            while self._waiting:
                begun, self._waiting = self._waiting, {}
                self._total, self._done = len(begun), 0
                await self._show_kept(begun)
                for refresh in (False, True):
                    async for number in self._survey([n for n, again in begun.items() if again is refresh], refresh):
                        begun.pop(number, None)  # two entries may name one target
        except DbtendError as error:
            for number, refresh in begun.items():  # those left are surveyed the next time
                self._waiting[number] = refresh or self._waiting.get(number, False)
            self._screen.context.tell_error(error)
        finally:
            self._is_running = False
            self._changed()
            self._retry.schedule(is_needed=bool(self._locked))

    @property
    def _locked(self) -> list[int]:
        """The targets that could not be surveyed for a lock, which passes."""
        found = ((number, state.survey and state.survey.reason) for number, state in self._model.states.items())
        return [number for number, reason in found if reason and reason.cause is SurveyCause.LOCKED]

    async def _show_kept(self, numbers: Collection[int]) -> None:
        urls = {n: self._urls(state.entry.url) for n, state in self._model.states.items() if n in numbers}
        with _loading(len(urls)):
            surveys = await self._engine.surveys(urls.values())
            last_jobs = await self._engine.last_jobs(urls.values())
            saved = self._screen.context.saved
            next_due = {} if saved is None else await self._engine.next_due(urls.values(), saved.config)
            async for number, url in in_slices(urls.items()):
                self._model.set_stored(number, surveys.get(url), last_jobs.get(url), next_due.get(url))
        self._changed()

    async def _survey(self, numbers: Collection[int], refresh: bool) -> AsyncIterator[int]:
        """The numbers of those that have their survey."""
        states = self._model.states
        by_url: dict[str, list[int]] = {}
        entries: list[TargetEntry] = []
        for number in numbers:
            if number in states:
                by_url.setdefault(states[number].entry.url, []).append(number)
                entries.append(states[number].entry)
        if not entries:
            return
        pace = UpdatePace(self._changed)
        async for one in self._engine.survey(entries, refresh=refresh):
            self._done += 1
            for number in by_url[one.entry.url]:
                self._put(number, one.survey)
                yield number
            pace.update_if_due()

    def _put(self, number: int, survey: Survey) -> None:
        if number in self._model.states:
            self._model.set_survey(number, survey, self._model.states[number].last_job)


@contextmanager
def _loading(number: int) -> Iterator[None]:
    """While inside, the garbage collector rests: it would stop the console to visit many values that stay anyway."""
    if number < MANY:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
