"""Actions on targets: add, edit, remove, test, inspect, mark, build a sample."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.config.model import TargetEntry
from engine.domain.engines import EngineName
from engine.domain.errors import DbtendError, PasswordNeededError, UsageError
from engine.domain.lazy_import import lazy
from tui.console.console_screen import Actions, ConsoleScreen
from tui.console.keymap import key_of
from tui.console.parts.target_inspector import TargetInspector
from tui.console.parts.target_surveys import TargetSurveys
from tui.console.saved_targets import SavedTargets
from tui.console.views.hints import examining
from tui.console.views.line import Role
from tui.console.widgets.operation_list import OperationList
from tui.console.widgets.target_list import TargetList
from tui.presentation.target_names import TargetName

if TYPE_CHECKING:
    from engine.inspection import demo_database
    from tui.console import connection_test
else:
    demo_database = lazy("engine.inspection.demo_database", "only a sample needs it")
    connection_test = lazy("tui.console.connection_test", "only a test of a connection needs it")

NOT_KEPT: Final = "A sample session saves nothing: leave it, and start dbtend to add your own databases."

NO_PAGE_MAP: Final = "Only a SQLite file that can be opened has a page map."


class TargetActions:
    def __init__(
        self,
        screen: ConsoleScreen[Any],
        targets: TargetList,
        operations: OperationList,
        inspector: TargetInspector,
        surveys: TargetSurveys,
        changed: Callable[[], None],
    ) -> None:
        """`changed`: called when the model has changed."""
        self._screen, self._context = screen, screen.context
        self._targets, self._operations, self._model = targets, operations, targets.model
        self._inspector, self._surveys, self._changed = inspector, surveys, changed
        self.actions: Actions = {
            "add": self.add,
            "edit": self.edit,
            "remove": self.remove,
            "test": self.test,
            "map": self.show_page_map,
            "look": self.inspect,
            "examine": self.inspect_fully,
            "sample": self.build_sample,
            "mark-target": self.mark,
            "mark-all": self.mark_all,
            "sort": self.sort,
        }

    def can(self, action_id: str) -> bool:
        focused = self._screen.focused
        here, some = focused is self._targets, self._model.state is not None
        if action_id == "examine":
            return some and (here or focused is self._operations)
        if action_id == "add":
            return here or not some
        if action_id == "sample":
            return not some and not self._operations.sample_path
        if action_id == "map":
            return self._sqlite_file() is not None
        return here and some

    def select(self) -> None:
        """Make the target under the cursor the current one. At once: the next key may have been typed already."""
        if self._targets.select_at_cursor():
            self._inspector.inspect_if_new(self._model.current)
            self._changed()

    # In the config file

    async def add(self) -> None:
        # Awaited, not a worker: the next key that is typed is for the form.
        if not self._screen.refuses("add"):
            await self._open_form(None)

    async def edit(self) -> None:
        if self._screen.refuses("edit"):
            return
        self.select()
        if self._model.state is not None:
            await self._open_form(self._model.current)

    async def _open_form(self, number: int | None) -> None:
        """Open the form for a new target, or for one of the list, as the config file has it now."""
        saved = self._context.saved
        if saved is None:
            self._screen.say(NOT_KEPT, Role.WARNING)
            return
        if not await self._read_config(saved):
            return
        entry = self._model.states[number].entry if number is not None else None
        was = saved.entry_of(entry) if entry is not None else None

        def kept(new: TargetEntry) -> None:
            whole = saved.whole(new)
            if entry is not None:
                self._context.names.forget(entry)
            self._context.names.learn(whole)
            at = self._model.add(whole) if number is None else self._model.change(number, whole)
            self._changed()
            self._targets.go_to(at)
            self.select()
            self._inspector.inspect_again([at])
            self._screen.say(f"Saved in {saved.path}.")

        self._screen.app.push_screen(self._context.screens.target_form(saved, was or entry, was=was, kept=kept))

    async def _read_config(self, saved: SavedTargets | None) -> bool:
        """Read the config file again; False after an error, which is shown."""
        try:
            if saved is not None:
                await saved.read()
        except DbtendError as error:
            self._screen.say_error(error)
            return False
        return True

    async def remove(self) -> None:
        if self._screen.refuses("remove"):
            return
        self.select()
        state, number, saved = self._model.state, self._model.current, self._context.saved
        if state is None or not await self._read_config(saved):
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
                    self._screen.say_error(error)
                    return
            self._context.names.forget(state.entry)
            self._model.remove(number)
            self._changed()
            self._targets.go_to(self._model.current)
            self._screen.say(f"{name} removed. Its history is kept.")

        consequence = "Its history and the database itself stay. Jobs on it go on."
        self._screen.app.push_screen(
            self._context.screens.confirm(f"Remove {name} from {where}?", consequence), decided
        )

    # Connection and inspection

    def test(self) -> None:
        self.select()
        state = self._model.state
        if state is None:
            return
        if state.is_pattern and isinstance(state.error, PasswordNeededError):
            self.ask_for_password(state.entry, state.error)
        else:
            self._begin_test(state.entry)

    def _begin_test(self, entry: TargetEntry) -> None:
        patterns = [n for n, s in self._model.states.items() if s.is_pattern and s.entry.url == entry.url]
        if patterns:
            self._inspector.inspect_again(patterns)
            return
        self._screen.run_worker(self._test(entry), group="test", exclusive=True)

    async def _test(self, entry: TargetEntry) -> None:
        name = TargetName.of(entry)
        self._screen.say(f"Testing the connection to {name} ...")
        try:
            info = await connection_test.check_connection(self._context.engine, entry.url)
        except PasswordNeededError as error:
            self.ask_for_password(entry, error)
        except DbtendError as error:
            self._screen.say_error(error)
        else:
            self._screen.say(f"{name}: {connection_test.format_result(info)}.")
            states = self._model.states.items()
            failed = [n for n, state in states if state.entry.url == entry.url and state.error is not None]
            self._inspector.inspect_again(failed)

    def ask_for_password(self, entry: TargetEntry, problem: PasswordNeededError) -> None:
        """Ask, and then test the connection with the answer."""
        self._screen.ask_for_password(TargetName.of(entry), entry.url, problem, lambda: self._begin_test(entry))

    def show_page_map(self) -> None:
        self.select()
        if (entry := self._sqlite_file()) is not None:
            self._screen.app.push_screen(self._context.screens.page_map(entry.url, TargetName.of(entry)))
        else:
            self._screen.say(NO_PAGE_MAP, Role.WARNING)

    def _sqlite_file(self) -> TargetEntry | None:
        """The current target, if it is one that could be opened."""
        state = self._model.state
        info = state.info if state is not None else None
        is_file = info is not None and info.engine == EngineName.SQLITE and info.elsewhere is None
        return state.entry if state is not None and is_file else None

    def inspect(self) -> None:
        self.select()
        self._inspector.inspect_again(self._model.selected)

    def inspect_fully(self) -> None:
        """Start a full inspection, or stop the one that runs."""
        if not self.can("examine"):
            return
        self.select()
        if self._inspector.stop_full_inspection():
            self._inspector.inspect_again(self._model.selected)
            self._screen.say("Full inspection stopped.")
            return
        numbers = [number for number in self._model.selected if self._model.states[number].info is not None]
        if numbers:
            self._screen.say(examining(self._model.states[numbers[0]], len(numbers)))
            self._inspector.inspect_fully(numbers)

    def mark(self) -> None:
        """Mark or unmark the target under the cursor, and move to the next one."""
        self.select()
        self._model.mark()
        self._targets.action_move(1)
        self._changed()

    def mark_all(self) -> None:
        self._model.mark_all(self._targets.shown)
        self._changed()

    def sort(self) -> None:
        self._surveys.begin()
        self._targets.sort = self._targets.sort.following
        self._changed()

    # Without any target

    def build_sample(self) -> None:
        if self._screen.refuses("sample") or not self.can("sample"):
            return
        try:
            path = Path(tempfile.mkdtemp(prefix="dbtend-demo-")) / demo_database.DATABASE
        except OSError as error:
            why = f"no temporary directory: {error.strerror}"
            self._screen.say_error(UsageError("sample", why, "set TMPDIR to another directory"))
            return
        self._show_building(str(path))
        self._screen.run_worker(self._build_sample(path), group="sample")

    async def _build_sample(self, path: Path) -> None:
        try:
            await asyncio.to_thread(demo_database.build_demo_database, path)
        except DbtendError as error:
            self._screen.say_error(error)
        else:
            at = self._model.add(TargetEntry(name=demo_database.DATABASE, url=str(path)), saved=False)
            self._inspector.inspect_again([at])
            self._targets.go_to(at)
            runs = f"{key_of('run')} shows what would run"
            self._screen.say(f"Sample database {path} is ready: {runs}. The file stays until you remove it.")
        finally:
            self._show_building("")

    def _show_building(self, path: str) -> None:
        self._operations.sample_path = path
        self._changed()
