"""What can be done with targets: add, change, remove, test, mark, look at again."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import ClassVar, Final

from textual.binding import BindingType

from engine.config.model import TargetEntry
from engine.domain.errors import DbtendError, PasswordNeededError, UsageError
from engine.inspection.demo_database import DATABASE, build_demo_database
from tui.console.actions import bindings
from tui.console.keymap import key_of
from tui.console.saved_targets import SavedTargets
from tui.console.screens.targets import Targets
from tui.console.views.hints import examining
from tui.console.views.line import Role
from tui.presentation.target_names import TargetName

NOT_KEPT: Final = "Nothing is kept of this session on a sample: leave it, and start dbtend for databases of yours."


class TargetActions(Targets):
    BINDINGS: ClassVar[list[BindingType]] = bindings("add", "sample", "look", "examine")

    def can(self, action_id: str) -> bool:
        if self.context.is_barred(action_id):
            return False
        here, some = self.focused is self._targets, self._board.state is not None
        if action_id in {"mark-target", "look", "edit", "remove", "test"}:
            return here and some
        if action_id == "examine":
            return some and (here or self.focused is self._operations)
        if action_id == "add":
            return here or not some
        if action_id == "sample":
            return not some and not self._being_built
        return super().can(action_id)

    # In the config file

    async def action_add(self) -> None:
        # To the end, and no worker: what is typed next is for the form.
        if not self.refuses("add"):
            await self._fill_in(None)

    async def action_edit(self) -> None:
        if self.refuses("edit"):
            return
        self._choose_target()
        if self._board.state is not None:
            await self._fill_in(self._board.current)

    async def _fill_in(self, number: int | None) -> None:
        """Open the form: of a new target, or of one that is here, as it stands in the config file by now."""
        saved = self.context.saved
        if saved is None:
            self.say(NOT_KEPT, Role.WARNING)
            return
        if not await self._has_read(saved):
            return
        entry = self._board.states[number].entry if number is not None else None
        was = saved.entry_of(entry) if entry is not None else None

        def kept(new: TargetEntry) -> None:
            whole = saved.whole(new)
            if entry is not None:
                self.context.names.forget(entry)
            self.context.names.learn(whole)
            at = self._board.add(whole) if number is None else self._board.change(number, whole)
            self._show_targets()
            self._targets.go_to(at)
            self._choose_target()
            self.look_anew([at])
            self.say(f"Saved in {saved.path}.")

        self.app.push_screen(self.context.screens.target_form(saved, was or entry, was=was, kept=kept))

    async def _has_read(self, saved: SavedTargets | None) -> bool:
        """Look at the config file as it is by now; False, and why is said, where it is wrong."""
        try:
            if saved is not None:
                await saved.read()
        except DbtendError as error:
            self.say_error(error)
            return False
        return True

    async def action_remove(self) -> None:
        if self.refuses("remove"):
            return
        self._choose_target()
        state, number, saved = self._board.state, self._board.current, self.context.saved
        if state is None or not await self._has_read(saved):
            return
        was = saved.entry_of(state.entry) if saved is not None else None
        name = TargetName.of(state.entry)
        where = f"the config file {saved.path}" if saved is not None and was is not None else "this session"

        async def decided(yes: bool | None) -> None:
            if not yes:
                return
            if saved is not None and was is not None:
                try:
                    await saved.remove(was)
                except DbtendError as error:
                    self.say_error(error)
                    return
            self.context.names.forget(state.entry)
            self._board.remove(number)
            self._show_targets()
            self._targets.go_to(self._board.current)
            self.say(f"{name} is removed. Its history is still there.")

        consequence = f"It goes from {where}. Its history stays, jobs on it go on, and the database is not touched."
        self.app.push_screen(self.context.screens.confirm(f"Remove {name}?", consequence), decided)

    # Looks

    def action_test(self) -> None:
        self._choose_target()
        if self._board.state is not None:
            self.run_worker(self._test(self._board.state.entry), group="test", exclusive=True)

    async def _test(self, entry: TargetEntry) -> None:
        from tui.console import connection_test

        name = TargetName.of(entry)
        self.say(f"Testing the connection to {name} ...")
        try:
            info = await connection_test.answer_of(self.context.engine, entry.url)
        except PasswordNeededError as error:
            self.ask_for_password_of(entry, error)
        except DbtendError as error:
            self.say_error(error)
        else:
            self.say(f"{name}: {connection_test.in_words(info)}.")
            states = self._board.states.items()
            self.look_anew([n for n, state in states if state.entry.url == entry.url and state.error is not None])

    def ask_for_password_of(self, entry: TargetEntry, problem: PasswordNeededError) -> None:
        """Ask, and then test whether it is right."""

        def test() -> None:
            self.run_worker(self._test(entry), group="test", exclusive=True)

        self.ask_for_password(TargetName.of(entry), entry.url, problem, test)

    def action_look(self) -> None:
        self._choose_target()
        self.look_anew(self._board.at_hand)

    def action_examine(self) -> None:
        if not self.can("examine"):
            return
        self._choose_target()
        if self.ends_examination():
            self.look_anew(self._board.at_hand)
            self.say("It was not looked at as a whole.")
            return
        numbers = [number for number in self._board.at_hand if self._board.states[number].info is not None]
        if numbers:
            self.say(examining(self._board.states[numbers[0]], len(numbers)))
            self.examine(numbers)

    def action_mark(self) -> None:
        self._choose_target()
        self._board.mark()
        self._show_targets()

    def action_back(self) -> None:
        self._board.unmark()
        self._show_targets()

    # Without any

    def action_sample(self) -> None:
        if self.refuses("sample") or not self.can("sample"):
            return
        try:
            path = Path(tempfile.mkdtemp(prefix="dbtend-demo-")) / DATABASE
        except OSError as error:
            self.say_error(UsageError("sample", f"no place for it: {error.strerror}", "set TMPDIR to another"))
            return
        self._being_built = str(path)
        self._show_targets()
        self.run_worker(self._build_sample(path), group="sample")

    async def _build_sample(self, path: Path) -> None:
        try:
            await asyncio.to_thread(build_demo_database, path)
        except DbtendError as error:
            self.say_error(error)
        else:
            at = self._board.add(TargetEntry(name=DATABASE, url=str(path)), saved=False)
            self.look_anew([at])
            self._targets.go_to(at)
            runs = f"{key_of('run')} shows what would run"
            self.say(f"Try things out on the sample {path}: {runs}. The file stays until you remove it.")
        finally:
            self._being_built = ""
            self._show_targets()
