"""The form of a target: adds one to the config file, or changes one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

from textual import events, on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from engine import Operation
from engine.config.model import TargetEntry, expand_home
from engine.domain.errors import DbtendError, PasswordNeededError
from tui.console import connection_test
from tui.console.actions import bindings
from tui.console.console_screen import ConsoleScreen
from tui.console.context import ConsoleContext
from tui.console.saved_targets import SavedTargets
from tui.console.target_entry import (
    FieldMessage,
    FormValues,
    Place,
    about_label,
    about_name,
    about_place,
    about_url,
    entry_of,
    offered,
    place_of,
    proposed_name,
    url_as_saved,
)
from tui.console.views.line import Line, Role, line, wrapped
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.one_line import OneLine
from tui.console.widgets.page import Page
from tui.presentation.text import plain

FIELDS: Final = {"url": "Path or URL", "name": "Name", "label": "Label"}

PATIENCE: Final = 5.0
"""Seconds that a disk may take to answer."""


class Choice(ItemList):
    """The operations that are selected when the target is opened."""

    BINDINGS = bindings("tick")


class TargetFormScreen(ConsoleScreen[None]):
    """Closes when the entry is saved. A save goes on if the screen is closed before."""

    CSS_PATH = "../styles/target_form.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("save", "test-form", "next-field", "previous-field"),
        # Priority: the keys right after it, as on a slow line, are for the next field already.
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
    ]
    FOOTER = ("save", "test-form", "tick", "back", "help")
    AUTO_FOCUS = "#url"

    def __init__(
        self,
        context: ConsoleContext,
        saved: SavedTargets,
        entry: TargetEntry | None,
        *,
        was: TargetEntry | None,
        kept: Callable[[TargetEntry], None],
    ) -> None:
        """
        Args:
            entry: the initial values of the fields.
            was: the entry of the file to change; None: add a new one.
            kept: called with the saved entry.
        """
        super().__init__(context)
        self._kept = kept
        self._place = Place()
        self._is_reading_place = self._is_saving = self._is_saved = False
        self._saved, self._was = saved, was
        self._filled = FormValues.of(entry)
        self._operations = self._filled.operations
        self._others = tuple(other for other in saved.entries if other != was)
        self._directory = Path.cwd()
        self._submitted = False
        self._choice = Choice(id="choice").titled("Selected when opened (none: what it needs)")
        self._tested = _text("tested")
        self._inputs = {name: _input(name, getattr(self._filled, name)) for name in FIELDS}
        self._below = {name: _text(f"{name}-message") for name in FIELDS}

    def compose_body(self) -> Iterator[Widget]:
        form = Vertical(id="form")
        form.border_title = Content(f"Change {plain(self._was.name)}" if self._was else "Add a database")
        with form:
            for name, words in FIELDS.items():
                with Horizontal(classes="field"):
                    yield _text(f"{name}-name", words)
                    yield self._inputs[name]
                yield self._below[name]
            yield self._choice
            yield OneLine(lambda width: line((f"Will be saved in {plain(str(self._saved.path))}"[:width], Role.DIM)))
            yield self._tested

    def on_mount(self) -> None:
        self._check()

    @on(ItemList.Resized)
    def _lay_out(self) -> None:
        self._check()

    @on(Input.Changed)
    @on(events.DescendantBlur)
    def _check(self) -> None:
        self._filled = FormValues(**{name: i.value for name, i in self._inputs.items()}, operations=self._operations)
        messages = self._messages()
        self._inputs["name"].placeholder = "" if messages["url"].is_wrong else proposed_name(self._filled.url)
        for name, message in messages.items():
            page = self._below[name]
            page.show(message_lines(message, page.columns, submitted=self._submitted))
            page.styles.height = min(page.line_count, 3)
        width = max(self._choice.columns, 20)
        self._choice.show(choice_rows(self._offered, self._operations, width))
        self.refresh_footer()
        if self._place.url != self._url and not self._is_reading_place:
            self._is_reading_place = True
            self.run_worker(self._read_place(), group="place")

    async def _read_place(self) -> None:
        """Look the place up, one look-up at a time: on a disk that hangs each would keep a thread."""
        try:
            while self._place.url != (url := self._url):
                self._place = await self._place_of(url)
        finally:
            self._is_reading_place = False
        self._check()

    async def _place_of(self, url: str) -> Place:
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.to_thread(place_of, url, self._others, self._saved.urls)
        except TimeoutError:
            return Place(url, trouble="its disk does not answer")

    def _messages(self) -> dict[str, FieldMessage]:
        url, name = self._filled.url, self._filled.name
        place = self._place if self._place.url == self._url else Place()
        is_typed = self.focused is self._inputs["url"] and not self._submitted
        return {
            "url": about_place(about_url(url, self._url), place, is_typed=is_typed),
            "name": about_name(name, url, self._others, self._saved.reserved),
            "label": about_label(self._filled.label),
        }

    @property
    def _url(self) -> str:
        """The path or URL to save; unchanged text keeps the saved one."""
        typed = self._filled.url
        return typed if self._was is not None and typed == self._was.url else url_as_saved(typed, self._directory)

    @property
    def _offered(self) -> tuple[Operation, ...]:
        besides = (self._was.operations if self._was else None) or ()
        return offered(self._url, besides)

    @property
    def takes_text(self) -> bool:
        return isinstance(self.focused, Input)

    def can(self, action_id: str) -> bool:
        return self.focused is self._choice if action_id == "tick" else super().can(action_id)

    def action_tick(self) -> None:
        if isinstance(self._choice.key, Operation):
            self._operations ^= {self._choice.key}
            self._check()

    @on(Input.Submitted)
    def action_save(self) -> None:
        if self._is_saving:
            return
        self._submitted = True
        self._check()
        wrong = next((name for name, message in self._messages().items() if message.is_wrong), None)
        if wrong is not None:
            self._inputs[wrong].focus()
            return
        self.run_worker(self._save_if_sure(), group="sure", exclusive=True)

    async def _save_if_sure(self) -> None:
        """Ask before something is saved that is not there, unless it was saved like that before."""
        url = self._url
        place = await self._place_of(url)
        if not place.trouble or (self._was is not None and url == self._was.url):
            self._keep()
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self._keep()
            else:
                self._inputs["url"].focus()

        consequence = f"{url}: {place.trouble}. You can save it; it is retried automatically."
        self.app.push_screen(self.context.screens.confirm("Save a target that cannot be read?", consequence), decided)

    def _keep(self) -> None:
        self._is_saving = True
        # A worker of the app: it goes on after this screen is closed.
        self.app.run_worker(self._save(entry_of(self._filled, self._url, self._was)), name="save")

    async def _save(self, entry: TargetEntry) -> None:
        try:
            new = await self._saved.put(entry, was=self._was)
        except DbtendError as error:
            self.context.tell_error(error)
        else:
            self._is_saved = True
            self._close_if_saved()
            self._kept(new)
        finally:
            self._is_saving = False

    @on(events.ScreenResume)
    def _close_if_saved(self) -> None:
        if self._is_saved and self.is_active:
            self._is_saved = False  # a screen may be resumed twice
            self.dismiss()

    def action_back(self) -> None:
        super().action_back()
        if self._is_saving:
            self.context.tell("Saving goes on; the result is shown here.")

    def action_test(self) -> None:
        if self._messages()["url"].is_wrong:
            self._submitted = True
            self._check()
            return
        self.run_worker(self._test(expand_home(self._url)), group="test", exclusive=True)

    async def _test(self, url: str) -> None:
        self._show_result("Testing the connection ...", Role.DIM)
        try:
            exclude = self._was.exclude if self._was is not None else ()
            entry = TargetEntry(name=self._filled.name, url=url, exclude=exclude)
            found = await connection_test.expand_if_pattern(entry)
            if found is not None:
                self._show_result(f"It {connection_test.format_expansion(found)}.", Role.COMPLETED)
                return
            info = await connection_test.check_connection(self.context.engine, url)
        except PasswordNeededError as error:
            self.ask_for_password("This target", url, error, self.action_test)
            self._show_result(f"No connection: {error.why}", Role.FAILED)
        except DbtendError as error:
            self._show_result(f"No connection: {error.why}" + (f" ({error.hint})" if error.hint else ""), Role.FAILED)
        else:
            self._show_result(f"Connected: {connection_test.format_result(info)}.", Role.COMPLETED)

    def _show_result(self, sentence: str, role: Role) -> None:
        lines = wrapped(sentence, self._tested.columns, role)
        self._tested.styles.height = min(len(lines), 3)
        self._tested.show(lines)


def _input(name: str, value: str) -> Input:
    made = Input(value, id=name, compact=True, select_on_focus=False)
    made.cursor_blink = False
    return made


def _text(name: str, words: str = "") -> Page:
    page = Page(id=name)
    page.can_focus = False
    page.show([line((words, Role.DIM))])
    return page


def message_lines(message: FieldMessage, width: int, *, submitted: bool) -> list[Line]:
    """The message below a field. `submitted`: the user has tried to save."""
    if message.is_unfinished and not submitted:
        return [Line()]
    role = Role.FAILED if message.is_wrong else Role.WARNING if message.is_doubtful else Role.DIM
    return wrapped(message.text, width, role) if message.text else [Line()]


def choice_rows(offered: Sequence[Operation], chosen: Collection[Operation], columns: int) -> list[Line]:
    return [
        line(("[x] " if operation in chosen else "[ ] ", Role.KEY), operation.value.ljust(columns - 4), key=operation)
        for operation in offered
    ]
