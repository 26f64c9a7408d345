"""Inspects the targets of the main screen: when they are opened, when a job ends, when asked, and after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from time import monotonic
from typing import Any, Final

from textual.worker import Worker

from engine import TargetInfo
from engine.config.model import TargetEntry
from engine.domain.errors import DbtendError, ServerUnavailableError, TargetBusyError
from engine.domain.extent import Extent
from engine.domain.server_names import names_server
from engine.fleet import expansion
from engine.inspection import inspector
from tui.console.console_screen import ConsoleScreen
from tui.console.parts.retry import Retry
from tui.console.target_model import TargetModel
from tui.console.update_pace import UpdatePace
from tui.console.views.hints import examined

ADVICE_BUDGET: Final = 0.2
"""Seconds per target that an ordinary inspection may spend on expensive facts."""
FILES_INSPECTED_AT_ONCE: Final = 8
"""Inspections of files mostly wait for the disk."""
FILES_ADVISED_AT_ONCE: Final = 2
"""Advice on a file is work for this machine."""
SERVERS_AT_ONCE: Final = 16
"""Inspections and advice on servers are work for the server."""
PRESENCE_CHECKS_AT_ONCE: Final = 3
"""Each uses a thread, and keeps it while a disk hangs."""
PRESENCE_EVERY = 5.0
"""Seconds between two presence checks, at least."""


class TargetInspector:
    """Writes what it finds into the model. Inspection and advice of one target never wait for another target."""

    def __init__(
        self,
        screen: ConsoleScreen[Any],
        model: TargetModel,
        *,
        changed: Callable[[], None],
        advised: Callable[[int, DbtendError | None], None],
        listed: Callable[[Sequence[int]], None],
    ) -> None:
        """
        Args:
            screen: runs the workers and timers, and shows the result of a full inspection.
            changed: called when the model has changed.
            advised: called with the number of a target when its advice is known, or with why it is not.
            listed: called with the numbers of the targets that a pattern stands for.
        """
        self._screen, self._model = screen, model
        self._changed, self._advised, self._listed = changed, advised, listed
        self._engine = screen.context.engine
        self.retry = Retry(screen, lambda: self.inspect(model.to_retry))
        self._full_inspection: Worker[None] | None = None
        self._extents: dict[int, Extent | None] = {}
        """Which database it was before its last inspection; None: no readable one."""
        self._begun: set[int] = set()
        """Targets whose inspection was begun."""
        self._presence_checks: set[int] = set()
        """Targets whose presence check has not answered yet."""
        self._last_presence_check = monotonic()
        self._file_inspections = asyncio.Semaphore(FILES_INSPECTED_AT_ONCE)
        self._file_advice = asyncio.Semaphore(FILES_ADVISED_AT_ONCE)
        self._servers = asyncio.Semaphore(SERVERS_AT_ONCE)
        self._presence_slots = asyncio.Semaphore(PRESENCE_CHECKS_AT_ONCE)
        self._to_inspect: set[int] = set()
        self._to_advise: set[int] = set()
        """Targets that wait for their turn. Such a target is not queued again."""
        self._at_work = 0
        """How many inspections and advices are under way, or wait for their turn."""
        self._pace = UpdatePace(changed, shortest=0)

    # Inspection and advice

    def inspect(self, numbers: Iterable[int]) -> Worker[None]:
        """Inspect these targets, and then advise on them."""
        return self._screen.run_worker(partial(self._inspect_all, list(numbers)), group="targets")

    def inspect_again(self, numbers: Iterable[int]) -> None:
        """Inspect targets because the user asked: the list shows that it is going on."""
        self._model.set_inspecting(numbers)
        self.retry.reset()
        self._changed()
        self.inspect(numbers)

    async def _inspect_all(self, numbers: Iterable[int]) -> None:
        await asyncio.gather(*map(self._inspect_one, numbers))

    def inspect_if_new(self, number: int) -> None:
        """Inspect a target that has not been inspected yet: of many only those that are chosen are."""
        state = self._model.states.get(number)
        if state is not None and state.info is None and state.error is None and number not in self._begun:
            self.inspect([number])

    async def inspect_now(self, number: int) -> None:
        """Inspect a target and advise on it, unless that was done and its database is the same; wait for the result."""
        state = self._model.states.get(number)
        if state is None or state.is_pattern:
            return
        if state.advice is not None and self._holds(number, await self._extent(state.entry.url)):
            return
        if names_server(state.entry.url) or not await self._inspect_and_advise(number, state.entry):
            with self._working():
                await self._inspect_in_slot(number)
            await self._advise_in_slot(number)

    async def _inspect_and_advise(self, number: int, entry: TargetEntry) -> bool:
        """Both by one connection; returns whether that succeeded: one after the other, each says why it fails."""
        limits = entry.thresholds
        with self._working():
            try:
                async with self._file_inspections:
                    self._extents[number] = await self._extent(entry.url)
                    info, advice = await self._engine.inspect_and_advise(entry.url, budget=ADVICE_BUDGET, limits=limits)
            except DbtendError:
                return False
            self._begun.add(number)
            self._set_info(number, info)
            self._model.set_advice(number, advice)
            self._show_news(number)
        return True

    @contextmanager
    def _working(self) -> Iterator[None]:
        """While inside, the screen is updated at a pace that leaves time for keys."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._pace.catch_up()

    def _show_news(self, number: int) -> None:
        if self._at_work <= 1 or number == self._model.current:
            self._changed()
        else:
            self._pace.update_if_due()

    def _set_info(self, number: int, info: TargetInfo) -> None:
        self._model.set_info(number, info)
        self._screen.context.inspected[info.url] = info

    async def _inspect_one(self, number: int) -> None:
        if number in self._to_inspect:
            return
        with self._working():
            await self._inspect_in_slot(number)
        if number not in self._to_advise:
            _: Worker[None] = self._screen.run_worker(partial(self._advise_in_slot, number), group="advice")

    async def _inspect_in_slot(self, number: int) -> None:
        is_new = number not in self._begun  # once inspected as a file, it is no directory
        self._begun.add(number)
        async with self._turn(number, self._file_inspections, self._to_inspect):
            state = self._model.states.get(number)
            if state is None:
                return
            is_many = state.is_pattern or (is_new and await asyncio.to_thread(_is_many, state.entry))
            if is_many and not await self._list(number):
                return
            self._extents[number] = await self._extent(state.entry.url)
            try:
                is_elsewhere = self._engine.elsewhere(state.entry.url) is not None
                info = (
                    inspector.info_elsewhere(state.entry.url)
                    if is_elsewhere
                    else await self._engine.inspect(state.entry.url)
                )
            except DbtendError as error:
                self._model.set_error(number, error)
            else:
                self._set_info(number, info)
        self._show_news(number)

    async def _list(self, number: int) -> bool:
        """Replace a pattern or a directory by the targets that it stands for, or show why they cannot be listed.

        Returns whether it stands for itself alone, as a directory does in the place of a known database.
        """
        entry, names = self._model.states[number].entry, self._screen.context.names
        try:
            async with asyncio.timeout(expansion.LIST_WITHIN):
                found = await expansion.expand([entry], known=self._engine.known_databases)
        except TimeoutError:
            self._model.set_error(
                number, ServerUnavailableError(entry.url, f"no answer in {expansion.LIST_WITHIN:g} s")
            )
        except DbtendError as error:
            self._model.set_error(number, error)
        else:
            state = self._model.states.get(number)
            if state is not None and not state.is_pattern and [one.url for one in found.targets] == [entry.url]:
                return True
            if state is not None:
                there = {names.canonical(s.entry.url) for n, s in self._model.states.items() if n != number}
                new = [one for one in found.targets if names.canonical(one.url) not in there]
                for one in new:
                    names.learn(one)
                self._listed(self._model.expand(number, new))
        self._changed()
        self.retry.schedule(is_needed=bool(self._model.to_retry))
        return False

    async def _advise_in_slot(self, number: int) -> None:
        with self._working():
            async with self._turn(number, self._file_advice, self._to_advise):
                await self._advise(number, ADVICE_BUDGET)

    @asynccontextmanager
    async def _turn(self, number: int, of_files: asyncio.Semaphore, waiting: set[int]) -> AsyncIterator[None]:
        state = self._model.states.get(number)
        slot = self._servers if state is not None and names_server(state.entry.url) else of_files
        waiting.add(number)
        try:
            await slot.acquire()
        finally:
            waiting.discard(number)
        try:
            yield
        finally:
            slot.release()

    async def _advise(self, number: int, budget: float | None) -> DbtendError | None:
        """Find out what a target needs; returns why that failed."""
        state, failure = self._model.states.get(number), None
        if state is not None and state.info is not None:
            try:
                advice = await self._engine.advise(state.entry.url, budget=budget, limits=state.entry.thresholds)
            except DbtendError as error:
                self._model.set_advice_failed(number, is_busy=isinstance(error, TargetBusyError))
                failure = error
            else:
                self._model.set_advice(number, advice)
            self._show_news(number)
            self._advised(number, failure)
        self.retry.schedule(is_needed=bool(self._model.to_retry))
        return failure

    # Full inspection

    def inspect_fully(self, numbers: Iterable[int]) -> None:
        """Advise on these targets without a budget, one after the other."""
        self._model.set_inspecting(numbers)
        self._changed()
        self._full_inspection = self._screen.run_worker(self._advise_fully(numbers), group="examination")

    async def _advise_fully(self, numbers: Iterable[int]) -> None:
        failures = {number: await self._advise(number, budget=None) for number in numbers}
        states = self._model.states
        self._screen.say(examined([(states[number], why) for number, why in failures.items() if number in states]))

    def stop_full_inspection(self) -> bool:
        """Stop it; returns whether one was running."""
        running, self._full_inspection = self._full_inspection, None
        if running is None or running.is_finished:
            return False
        running.cancel()
        return True

    # Presence

    def check_presence_if_due(self) -> None:
        """Check which databases are there, without opening any.

        Called on keys and news instead of by a timer: a timer would keep idle disks awake.
        """
        if monotonic() - self._last_presence_check >= PRESENCE_EVERY:
            self._last_presence_check = monotonic()
            _: Worker[None] = self._screen.run_worker(self.check_presence, group="watch")

    async def check_presence(self) -> None:
        """Inspect the targets that are gone, back, or replaced by another database."""
        asked = [n for n in self._model.states.keys() & self._extents.keys() if n not in self._presence_checks]
        self._presence_checks.update(asked)
        await asyncio.gather(*map(self._check_presence_of, asked))

    async def _check_presence_of(self, number: int) -> None:
        state = self._model.states.get(number)
        try:
            async with self._presence_slots:
                now = None if state is None else await self._extent(state.entry.url)
        finally:
            self._presence_checks.discard(number)
        # Only the current one is inspected for each change of its size, which the header shows: others may be many.
        is_same = self._extents[number] == now or (number != self._model.current and self._holds(number, now))
        if not is_same and number in self._model.states:
            await self._inspect_one(number)

    def _holds(self, number: int, now: Extent | None) -> bool:
        """Whether what was found out about a target is still of its database."""
        was = self._extents.get(number)
        return was == now or (was is not None and now is not None and was.holds(now))

    async def _extent(self, url: str) -> Extent | None:
        try:
            return await self._engine.extent(url)
        except DbtendError:
            return None


def _is_many(entry: TargetEntry) -> bool:
    """Whether an entry that was added in this session is a pattern of files or a directory."""
    try:
        return not names_server(entry.url) and expansion.stands_for_many(entry)
    except DbtendError:  # to inspect it says why
        return False
