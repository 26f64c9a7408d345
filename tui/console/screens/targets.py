"""The left side of the main screen: the targets, looked at again when there is reason to, and their operations."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from textual import events, on
from textual.timer import Timer
from textual.worker import Worker

from engine import Operation
from engine.domain.advice import worst
from engine.domain.errors import DbtendError, TargetBusyError
from engine.inspection import inspector
from tui.console.keymap import key_of
from tui.console.screens.job_actions import JobActions
from tui.console.target_model import TargetModel
from tui.console.views.header import OUT_OF_STEP, header_line, work
from tui.console.views.hints import building, examined, no_target, target_trouble, welcome
from tui.console.views.line import Line
from tui.console.views.lists import operation_rows, target_rows
from tui.console.views.standing import StatusBanner
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.one_line import OneLine
from tui.console.widgets.operation_list import OperationList
from tui.console.widgets.target_list import TargetList

if TYPE_CHECKING:
    from tui.console.context import ConsoleContext

ADVICE_BUDGET: Final = 0.2
"""Seconds for each target that the advice may spend on facts which are dear to get."""
LOOKS_AT_ONCE: Final = 8
"""Databases that are opened and looked at together: servers and disks that keep us waiting."""
ADVICE_AT_ONCE: Final = 2
"""Databases that advice is sought for together: it is work for this machine, too."""
SERVERS_AT_ONCE: Final = 16
"""Databases on servers that are looked at or advised on together: the work is theirs, and no file waits for them."""
GLANCES_AT_ONCE: Final = 3
"""Each takes a thread, and keeps it where a disk hangs."""
LOOK_AGAIN = 3.0
"""Seconds to another look at targets that were locked, or not there; twice as long each time that is in vain."""
LOOK_AGAIN_AT_MOST: Final = 60.0
GLANCE_EVERY = 5.0
"""Seconds between two glances at whether the databases are still there, at least."""


class Targets(JobActions[None]):
    """Shows what the board knows, and finds out what it is to know."""

    def __init__(self, context: ConsoleContext) -> None:
        super().__init__(context)
        self._board = TargetModel([])
        for entry in context.targets:
            known = context.saved.entry_of(entry) if context.saved is not None else None
            labelled = entry if entry.label or known is None else replace(entry, label=known.label)
            self._board.add(labelled, saved=context.saved is None or known is not None)
        self._targets = TargetList(id="targets").titled("1 Targets")
        self._operations = OperationList(id="operations").titled("2 Operations")
        self._header = OneLine(self._header_line, id="header")
        self._another_look: Timer | None = None
        self._examination: Worker[None] | None = None
        self._look_again_in = LOOK_AGAIN
        self._cursor_stays = False
        """Whether somebody has pressed a key, or the cursor has been put on the operation that matters most."""
        self._being_built = ""
        """Where a sample is being built; empty where none is."""
        self._presence: dict[int, str | None] = {}
        """Which database was there when it was last glanced at; None: none that could be read."""
        self._glanced_at: set[int] = set()
        """Those whose answer is still awaited."""
        self._last_glance = monotonic()
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._advising = asyncio.Semaphore(ADVICE_AT_ONCE)
        self._servers = asyncio.Semaphore(SERVERS_AT_ONCE)
        self._glances = asyncio.Semaphore(GLANCES_AT_ONCE)

    def plan_if_awaited(self, number: int) -> None:
        """It is known now what a target needs."""

    def say_whether_there_is_a_target(self) -> None:
        """There is one now, or none any more, or neither has changed."""

    # Looks

    async def _look_at(self, numbers: Iterable[int]) -> None:
        """Each is shown when it is known, and advised on then: one that does not answer keeps no other waiting."""
        await asyncio.gather(*map(self._look_at_one, numbers))

    async def _look_at_one(self, number: int) -> None:
        async with self._turn(number, self._looks):
            state = self._board.states.get(number)
            if state is None:
                return
            try:
                info = await self.context.engine.inspect(state.entry.url)
            except DbtendError as error:
                self._board.give_up(number, error)
            else:
                self._board.learn(number, info)
                self.context.looked_at[info.url] = info
        self._show_targets()
        self.run_worker(self._advise_in_turn(number), group="advice")

    async def _advise_in_turn(self, number: int) -> None:
        async with self._turn(number, self._advising):
            await self._advise_on(number, ADVICE_BUDGET)

    def _turn(self, number: int, of_files: asyncio.Semaphore) -> asyncio.Semaphore:
        state = self._board.states.get(number)
        return self._servers if state is not None and inspector.is_on_server(state.entry.url) else of_files

    async def _advise_on(self, number: int, budget: float | None) -> DbtendError | None:
        """Find out what the target needs; why that cannot be known, where it cannot."""
        state, trouble = self._board.states.get(number), None
        if state is not None and state.info is not None:
            try:
                advice = await self.context.engine.advise(state.entry.url, budget=budget)
            except DbtendError as error:
                self._board.leave_unadvised(number, is_busy=isinstance(error, TargetBusyError))
                trouble = error
            else:
                self._board.heed(number, advice)
            self._show_targets()
            if trouble is None and number == self._board.current:
                self._go_to_what_matters_most()
            self.plan_if_awaited(number)
        if not self._board.unsettled:
            self._look_again_in = LOOK_AGAIN
        elif self._another_look is None:
            self._another_look = self.set_timer(self._look_again_in, self._look_again)
            self._look_again_in = min(self._look_again_in * 2, LOOK_AGAIN_AT_MOST)
        return trouble

    def _go_to_what_matters_most(self) -> None:
        """Once, as it becomes known what is needed: no cursor moves by itself that somebody may be looking at."""
        board = self._board
        needed = [one for one in (board.state and board.state.advice) or () if one.operation in board.chosen]
        if needed and not self._cursor_stays and not self._operations.cursor:
            level = worst(needed)
            self._operations.go_to(next(one.operation for one in needed if one.level is level))
        self._cursor_stays = True

    @on(events.Key)
    def _leave_the_cursor(self) -> None:
        self._cursor_stays = True

    @property
    def looks_again(self) -> bool:
        """Whether targets are to be looked at once more by itself: there is a timer only then."""
        return self._another_look is not None

    def _look_again(self) -> None:
        self._another_look = None
        self.run_worker(self._look_at(self._board.unsettled), group="targets")

    def look_anew(self, numbers: Iterable[int]) -> None:
        """Look at these because somebody wants to know."""
        self._board.look(numbers)
        self._look_again_in = LOOK_AGAIN
        self._show_targets()
        self.run_worker(self._look_at(numbers), group="targets")

    def examine(self, numbers: Iterable[int]) -> None:
        """Look at all of these, however long that takes: because somebody wants to know, and can wait."""
        self._board.look(numbers)
        self._show_targets()
        self._examination = self.run_worker(self._advise_on_all(numbers), group="examination")

    async def _advise_on_all(self, numbers: Iterable[int]) -> None:
        troubles = {number: await self._advise_on(number, budget=None) for number in numbers}
        states = self._board.states
        self.say(examined([(states[number], why) for number, why in troubles.items() if number in states]))

    def ends_examination(self) -> bool:
        """End it; whether there was one."""
        running, self._examination = self._examination, None
        if running is None or running.is_finished:
            return False
        running.cancel()
        return True

    def glance_if_due(self) -> None:
        """Somebody is here, or jobs go on: see whether the databases are still there, which opens none.

        There is no timer for it: nobody may be looking, and disks that are asleep would be kept awake.
        """
        if monotonic() - self._last_glance >= GLANCE_EVERY:
            self._last_glance = monotonic()
            self.run_worker(self.watch_presence(), group="watch")

    @on(events.Key)
    @on(events.ScreenResume)
    def _somebody_is_here(self) -> None:
        self.glance_if_due()

    async def watch_presence(self) -> None:
        """Look at those that are no longer what they were: gone, back, or another database in the same place."""
        asked = [number for number in self._board.states if number not in self._glanced_at]
        self._glanced_at.update(asked)
        await asyncio.gather(*map(self._glance_at, asked))

    async def _glance_at(self, number: int) -> None:
        try:
            async with self._glances:
                fingerprint = await self._presence_of(number)
        finally:
            self._glanced_at.discard(number)
        state = self._board.states.get(number)
        if state is None:
            return
        if number in self._presence:
            is_another = fingerprint != self._presence[number]
        else:
            is_another = (fingerprint is None) != (state.info is None)
        self._presence[number] = fingerprint
        if is_another:
            await self._look_at([number])

    async def _presence_of(self, number: int) -> str | None:
        state = self._board.states.get(number)
        try:
            return await self.context.engine.fingerprint(state.entry.url) if state is not None else None
        except DbtendError:
            return None

    # What is shown

    @on(ItemList.Resized, "#targets, #operations")
    def _show_targets(self) -> None:
        board, width = self._board, self._targets.columns
        self._targets.show(target_rows(board.states, board.current, width, board.marked) or no_target(width))
        marked = len(board.marked)
        key = key_of("edit")
        unsaved = f"unsaved: {key} saves it"
        if len(unsaved) > self._targets.subtitle_room:
            unsaved = f"unsaved ({key})"
        self._targets.titled(
            f"1 Targets ({marked} marked)" if marked else "1 Targets",
            unsaved if board.state and not board.state.saved else "",
        )
        self._show_operations()

    def _show_operations(self) -> None:
        board, state, width = self._board, self._board.state, self._operations.columns
        for_all = f" (all {len(board.marked)})" if board.marked else ""
        self._operations.titled(f"2 Operations{for_all}")
        self.say_whether_there_is_a_target()
        if state is None:
            self._operations.show(building(self._being_built, width) if self._being_built else welcome(width))
        elif state.info is None:
            self._operations.show(target_trouble(state, width))
        else:
            height = self._operations.scrollable_content_region.height
            self._operations.show(
                operation_rows(
                    state.info.operations,
                    state.advice or (),
                    board.chosen,
                    self._operations.key,
                    width=width,
                    height=height,
                    check=board.check_level,
                )
            )
        self._header.renew()
        self.refresh_footer()

    def show_standing(self, standing: StatusBanner) -> None:
        super().show_standing(standing)
        self._header.renew()

    def _header_line(self, width: int) -> Line:
        context = self.context
        feed = context.feed
        about = context.standing
        said = work(feed.open.values(), feed.workers, feed.pause)
        if about.unread or (about.lost and about.has_store):
            said = OUT_OF_STEP
        return header_line(self._board.state, said, width, read_only=context.engine.read_only)

    @on(ItemList.CursorMoved, "#targets")
    def _choose_target(self) -> None:
        key = self._targets.key
        if isinstance(key, int) and key != self._board.current and key in self._board.states:
            self._board.current = key
            self._show_targets()

    @on(ItemList.CursorMoved, "#operations")
    def _describe_operation(self) -> None:
        self._show_operations()

    def action_choose(self) -> None:
        # At once, and on the target under the cursor: the next key, which runs it, may have been typed already.
        self._choose_target()
        if isinstance(self._operations.key, Operation):
            self._board.toggle(self._operations.key)
            self._show_operations()
