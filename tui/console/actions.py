"""Every action of the console, once: bindings, footer, help and the list of commands are made from this table.

Which keys an action has in the end, the config file may say: tui/console/keymap.py.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from textual.binding import Binding, BindingType

from engine.domain.frozen import frozen


class Place(StrEnum):
    """Where an action can be taken, in the words of the help."""

    MAIN = "On the main screen"
    TARGETS = "On a target"
    OPERATIONS = "On an operation"
    JOBS = "On a job"
    ROWS = "In a list of jobs"
    TREE = "In the tree of jobs"
    HISTORY = "In the history"
    PAGE = "In a page"
    PLAN = "In a plan"
    FORM = "In the form of a target"
    PALETTE = "In the list of commands"
    QUESTION = "Asked whether to"
    TYPED = "Asked to type which one"
    ENTRY = "Typing what to look for"
    LIST = "In every list and page"
    EVERYWHERE = "Everywhere"


@frozen
class Action:
    """Something a person can do. `id` is its name for good; `call` is the Textual action that does it."""

    id: str
    place: Place
    keys: str
    call: str
    label: str
    """For the footer; empty where the footer never names it."""
    help: str
    same_key_as: str = ""
    """The action whose key this one has, where a key does the one thing or the other as things are."""

    @property
    def writes(self) -> bool:
        """Whether it changes something: a console that is read-only does not do it."""
        return self.id in _WRITES


_WRITES: Final = frozenset({"run", "submit", "cancel", "retry", "pin", "unpin", "pause", "resume"}) | {
    *("add", "sample", "edit", "remove")
}


ACTIONS: Final = (
    Action("run", Place.MAIN, "r", "run", "run", "The plan of the chosen operations; enter there runs it"),
    Action("plan", Place.MAIN, "p", "plan", "plan", "Show exactly what the chosen operations would do"),
    Action("look", Place.MAIN, "a", "look", "look", "Look again at the target, or at all that are marked"),
    Action("examine", Place.MAIN, "x", "examine", "look at all", "Look at all of it, however long; again: stop that"),
    Action("search", Place.MAIN, "slash", "app.history(True)", "", "Look for jobs in the history"),
    Action("zoom", Place.MAIN, "plus", "zoom", "zoom", "The focused pane over the whole screen, and back"),
    Action("pane-1", Place.MAIN, "1", "pane('targets')", "", "To the targets; the one under the cursor is current"),
    Action("pane-2", Place.MAIN, "2", "pane('operations')", "", "To the operations"),
    Action("pane-3", Place.MAIN, "3", "pane('jobs')", "", "To the jobs"),
    Action("pane-4", Place.MAIN, "4", "pane('detail')", "", "To the detail"),
    Action("next-pane", Place.MAIN, "tab", "next_pane(1)", "", "To the next pane"),
    Action("previous-pane", Place.MAIN, "shift+tab", "next_pane(-1)", "", "To the pane before"),
    Action("add", Place.TARGETS, "A", "add", "add", "Add a database; it is kept in the config file"),
    Action("sample", Place.TARGETS, "d", "sample", "sample", "Without any: build a sample, for this session only"),
    Action("mark-target", Place.TARGETS, "space", "screen.mark", "mark", "Mark it: run and plan are for all marked"),
    Action("edit", Place.TARGETS, "e", "screen.edit", "edit", "Change it in the config file, or save it there"),
    Action("remove", Place.TARGETS, "D", "screen.remove", "remove", "Take it out of the config file (asks first)"),
    Action("test", Place.TARGETS, "T", "screen.test", "test", "Test the connection: version, size, writable or not"),
    Action("choose", Place.OPERATIONS, "space", "screen.choose", "choose", "Take the operation in or out"),
    Action("open", Place.ROWS, "enter", "open", "open", "Every step with its SQL, the errors and the log"),
    Action("mark", Place.ROWS, "space", "mark", "mark", "Mark it: the next action is for all that are marked"),
    Action("cancel", Place.JOBS, "c", "cancel", "cancel", "Cancel it, or the operation under the cursor (asks first)"),
    Action("retry", Place.JOBS, "t", "retry", "retry", "Run a request that is over once more (asks first)"),
    Action("pin", Place.JOBS, "m", "pin", "pin", "Pin the job: it stays when old history is removed"),
    Action("unpin", Place.JOBS, "m", "pin", "unpin", "Unpin it: it goes with old history again", same_key_as="pin"),
    Action("fold", Place.TREE, "z", "fold", "fold", "Show or hide the operations of the job"),
    Action("unfold", Place.TREE, "right,l", "fold(False)", "", "Show the operations of the job"),
    Action("fold-away", Place.TREE, "left", "fold(True)", "", "Hide them again"),
    Action("filter", Place.HISTORY, "slash", "filter", "filter", "Only some: by target, status, op, date or text"),
    Action("find", Place.PAGE, "slash", "find", "find", "Find a text on the page"),
    Action("find-next", Place.PAGE, "n", "find_next(1)", "next", "To the next place where it stands"),
    Action("find-previous", Place.PAGE, "N", "find_next(-1)", "previous", "To the one before"),
    Action("submit", Place.PLAN, "enter", "submit", "run exactly this", "Run exactly what is shown"),
    Action("look-again", Place.PLAN, "a", "look", "look again", "Plan it anew, as things are now"),
    Action("save", Place.FORM, "enter", "save", "save", "Save what is filled in"),
    Action("tick", Place.FORM, "space", "screen.tick", "choose", "Take the operation under the cursor in or out"),
    Action("test-form", Place.FORM, "ctrl+t,T", "test", "test", "Test the connection, before anything is saved"),
    Action("next-field", Place.FORM, "down", "app.focus_next", "", "To the next field, as with tab"),
    Action("previous-field", Place.FORM, "up", "app.focus_previous", "", "To the field before, as with shift+tab"),
    Action("next-command", Place.PALETTE, "down,ctrl+n", "screen.move(1)", "", "To the next one"),
    Action("previous-command", Place.PALETTE, "up,ctrl+p", "screen.move(-1)", "", "To the one before"),
    Action("do-command", Place.PALETTE, "enter", "do", "do it", "Do what is under the cursor"),
    Action("close-commands", Place.PALETTE, "escape", "close", "back", "Back, and nothing is done"),
    Action("yes", Place.QUESTION, "y", "yes", "yes", "Do it"),
    Action("no", Place.QUESTION, "enter,n,escape,q", "no", "no", "Leave it as it is"),
    Action("confirm", Place.TYPED, "enter", "confirm", "do it", "Do it, if what was asked for has been typed"),
    Action("leave", Place.TYPED, "escape", "leave", "leave it", "Leave it as it is"),
    Action("keep", Place.ENTRY, "enter", "submit", "keep", "Keep it, and go on to what was found"),
    Action("clear", Place.ENTRY, "escape", "screen.back", "clear", "Leave it, and show everything again"),
    Action("down", Place.LIST, "down,j", "move(1)", "", "Down"),
    Action("up", Place.LIST, "up,k", "move(-1)", "", "Up"),
    Action("page-down", Place.LIST, "pagedown,ctrl+f", "page(1)", "", "A page down"),
    Action("page-up", Place.LIST, "pageup,ctrl+u", "page(-1)", "", "A page up"),
    Action("first", Place.LIST, "g,home", "first", "", "To the beginning"),
    Action("last", Place.LIST, "G,end", "last", "", "To the end"),
    Action("palette", Place.EVERYWHERE, "colon", "app.palette", "command", "Every command that works here, by name"),
    Action("history", Place.EVERYWHERE, "h", "app.history", "history", "Every job that ever was"),
    Action("workers", Place.EVERYWHERE, "w", "app.workers", "workers", "The processes that carry out jobs"),
    Action("pause", Place.EVERYWHERE, "P", "app.pause", "pause", "Let nothing new start, in any process (asks first)"),
    Action("resume", Place.EVERYWHERE, "P", "app.pause", "resume", "Let jobs start again", same_key_as="pause"),
    Action("doctor", Place.EVERYWHERE, "i", "app.doctor", "doctor", "Versions, paths, limits; what is wrong"),
    Action("copy", Place.EVERYWHERE, "y", "copy", "copy", "Copy the row, the error or the SQL to the clipboard"),
    Action("theme", Place.EVERYWHERE, "C", "app.palette('theme ')", "", "Choose other colours"),
    Action("faster", Place.EVERYWHERE, "greater_than_sign", "app.refresh_by(0.5)", "", "Look twice as often"),
    Action("slower", Place.EVERYWHERE, "less_than_sign", "app.refresh_by(2)", "", "Look half as often"),
    Action("help", Place.EVERYWHERE, "question_mark,f1", "app.help", "help", "This page"),
    Action("suspend", Place.EVERYWHERE, "ctrl+z", "app.suspend_process", "", "To the shell; fg comes back"),
    Action("back", Place.EVERYWHERE, "escape", "back", "back", "Back"),
    Action("quit", Place.EVERYWHERE, "q", "quit", "quit", "Back, and from the main screen out; jobs go on"),
    Action("leave-console", Place.EVERYWHERE, "ctrl+c", "app.leave", "", "Out of the console; jobs go on"),
)

VERBS: Final = {"submit": "run", "run": "run anything"}
"""What an action does, where its label would not say it in a sentence."""
BY_ID: Final = {action.id: action for action in ACTIONS}

_ALWAYS: Final = frozenset({Place.LIST, Place.EVERYWHERE})
_SITUATIONS: Final = (
    _ALWAYS | {Place.MAIN, Place.JOBS, Place.TARGETS},
    _ALWAYS | {Place.MAIN, Place.JOBS, Place.OPERATIONS},
    _ALWAYS | {Place.MAIN, Place.JOBS, Place.ROWS, Place.TREE},
    _ALWAYS | {Place.HISTORY, Place.JOBS, Place.ROWS},
    _ALWAYS | {Place.PAGE, Place.JOBS},
    _ALWAYS | {Place.PAGE, Place.PLAN},
    frozenset({Place.FORM, Place.EVERYWHERE}),
    frozenset({Place.PALETTE}),
    frozenset({Place.QUESTION}),
    frozenset({Place.TYPED}),
    frozenset({Place.ENTRY}),
)
"""Where one can be: actions of which places can be taken at the same moment."""


def may_meet(one: Place, other: Place) -> bool:
    """Whether actions of both places can be taken at the same moment, so that each must have keys of its own."""
    return any({one, other} <= situation for situation in _SITUATIONS)


_NEVER_TYPED: Final = frozenset({"leave-console", "suspend"})
"""What works even where keys are text."""


def bindings(*ids: str) -> list[BindingType]:
    """The bindings of these actions, for a screen's or a widget's BINDINGS."""
    return [
        Binding(a.keys, a.call, a.label or a.help, id=a.id, show=False, priority=a.id in _NEVER_TYPED)
        for a in (BY_ID[name] for name in ids)
    ]


def barred(action_id: str) -> str:
    """Why a console that is read-only does not do it, in a sentence that names keys in braces."""
    instead = " {plan} shows what it would do." if action_id == "run" else ""
    verb = VERBS.get(action_id, BY_ID[action_id].label)
    return f"This console is read-only: it looks at everything and does not {verb}.{instead}"
