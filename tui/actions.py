"""Every action of the console, once: bindings, footer and help are all made from this table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from textual.binding import Binding, BindingType


class Place(StrEnum):
    """Where an action can be taken, in the words of the help."""

    MAIN = "On the main screen"
    TARGETS = "On a target"
    JOBS = "On a job"
    PLAN = "In a plan"
    FORM = "In the form of a target"
    QUESTION = "Asked whether to"
    TYPED = "Asked to type which one"
    LIST = "In every list and page"
    EVERYWHERE = "Everywhere"


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person can do. `id` is its name for good; `call` is the Textual action that does it."""

    id: str
    place: Place
    keys: str
    call: str
    label: str
    """For the footer; empty where the footer never names it."""
    help: str

    @property
    def shown_keys(self) -> list[str]:
        """The keys as they are printed: `esc`, `?`, `↓`."""
        return [SHOWN.get(key, key) for key in self.keys.split(",")]


SHOWN: Final = {
    "plus": "+",
    "question_mark": "?",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "down": "↓",
    "up": "↑",
    "ctrl+t": "^t",
    "left": "←",
    "right": "→",
}

ACTIONS: Final = (
    Action("run", Place.MAIN, "r", "plan", "run", "The plan of the chosen operations; enter there runs it"),
    Action("plan", Place.MAIN, "p", "plan", "plan", "Show exactly what the chosen operations would do"),
    Action("choose", Place.MAIN, "space", "screen.choose", "choose", "Take the operation under the cursor in or out"),
    Action("look", Place.MAIN, "a", "look", "look", "Look again at the target, or at all that are marked"),
    Action("history", Place.MAIN, "h", "history", "history", "Every job that ever was"),
    Action("zoom", Place.MAIN, "plus", "zoom", "zoom", "The focused pane over the whole screen, and back"),
    Action("pane-1", Place.MAIN, "1", "pane('targets')", "", "To the targets; the one under the cursor is current"),
    Action("pane-2", Place.MAIN, "2", "pane('operations')", "", "To the operations"),
    Action("pane-3", Place.MAIN, "3", "pane('jobs')", "", "To the jobs"),
    Action("pane-4", Place.MAIN, "4", "pane('detail')", "", "To the detail"),
    Action("add", Place.TARGETS, "A", "add", "add", "Add a database; it is kept in the config file"),
    Action("sample", Place.TARGETS, "d", "sample", "sample", "Without any: build a sample, for this session only"),
    Action("mark", Place.TARGETS, "space", "screen.mark", "mark", "Mark it: run and plan are for all that are marked"),
    Action("edit", Place.TARGETS, "e", "screen.edit", "edit", "Change it in the config file, or save it there"),
    Action("remove", Place.TARGETS, "D", "screen.remove", "remove", "Take it out of the config file (asks first)"),
    Action("test", Place.TARGETS, "T", "screen.test", "test", "Test the connection: version, size, writable or not"),
    Action("open", Place.JOBS, "enter", "open", "open", "Every step with its SQL, the errors and the log"),
    Action("fold", Place.JOBS, "space", "fold", "fold", "Show or hide the operations of the job"),
    Action("unfold", Place.JOBS, "right,l", "fold(False)", "", "Show the operations of the job"),
    Action("fold-away", Place.JOBS, "left", "fold(True)", "", "Hide them again"),
    Action("cancel", Place.JOBS, "c", "cancel", "cancel", "Cancel it, or the operation under the cursor (asks first)"),
    Action("retry", Place.JOBS, "t", "retry", "retry", "Run a request that is over once more (asks first)"),
    Action("pin", Place.JOBS, "m", "pin", "pin", "Pin the job: it stays when old history is removed"),
    Action("unpin", Place.JOBS, "m", "pin", "unpin", "Unpin it: it goes with old history again"),
    Action("submit", Place.PLAN, "enter", "submit", "run exactly this", "Run exactly what is shown"),
    Action("save", Place.FORM, "enter", "save", "save", "Save what is filled in"),
    Action("tick", Place.FORM, "space", "screen.tick", "choose", "Take the operation under the cursor in or out"),
    Action("test-form", Place.FORM, "ctrl+t,T", "test", "test", "Test the connection, before anything is saved"),
    Action("next-field", Place.FORM, "down", "app.focus_next", "", "To the next field, as with tab"),
    Action("previous-field", Place.FORM, "up", "app.focus_previous", "", "To the field before, as with shift+tab"),
    Action("yes", Place.QUESTION, "y", "yes", "yes", "Do it"),
    Action("no", Place.QUESTION, "enter,n,escape,q", "no", "no", "Leave it as it is"),
    Action("confirm", Place.TYPED, "enter", "confirm", "do it", "Do it, if what was asked for has been typed"),
    Action("leave", Place.TYPED, "escape", "leave", "leave it", "Leave it as it is"),
    Action("down", Place.LIST, "down,j", "move(1)", "", "Down"),
    Action("up", Place.LIST, "up,k", "move(-1)", "", "Up"),
    Action("page-down", Place.LIST, "pagedown", "page(1)", "", "A page down"),
    Action("page-up", Place.LIST, "pageup", "page(-1)", "", "A page up"),
    Action("first", Place.LIST, "g,home", "first", "", "To the beginning"),
    Action("last", Place.LIST, "G,end", "last", "", "To the end"),
    Action("next-pane", Place.MAIN, "tab", "next_pane(1)", "", "To the next pane"),
    Action("previous-pane", Place.MAIN, "shift+tab", "next_pane(-1)", "", "To the pane before"),
    Action("workers", Place.EVERYWHERE, "w", "app.workers", "workers", "The processes that carry out jobs"),
    Action("pause", Place.EVERYWHERE, "P", "app.pause", "pause", "Let nothing new start, in any process (asks first)"),
    Action("resume", Place.EVERYWHERE, "P", "app.pause", "resume", "Let jobs start again"),
    Action("help", Place.EVERYWHERE, "question_mark,f1", "app.help", "help", "This page"),
    Action("back", Place.EVERYWHERE, "escape", "back", "back", "Back"),
    Action("quit", Place.EVERYWHERE, "q", "quit", "quit", "Back, and from the main screen out; jobs go on"),
)

BY_ID: Final = {action.id: action for action in ACTIONS}


def bindings(*ids: str) -> list[BindingType]:
    """The bindings of these actions, for a screen's or a widget's BINDINGS."""
    return [Binding(a.keys, a.call, a.label or a.help, id=a.id, show=False) for a in (BY_ID[name] for name in ids)]
