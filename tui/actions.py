"""Every action of the console, once: bindings, footer and help are all made from this table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from textual.binding import Binding, BindingType


class Place(StrEnum):
    """Where an action can be taken, in the words of the help."""

    MAIN = "On the main screen"
    JOBS = "On a job"
    PLAN = "In a plan"
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
    writes: bool = False
    """Whether it changes something: a console that is read-only does not do it."""

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
    "left": "←",
    "right": "→",
}

ACTIONS: Final = (
    Action("run", Place.MAIN, "r", "run", "run", "The plan of the chosen operations; enter there runs it", writes=True),
    Action("plan", Place.MAIN, "p", "plan", "plan", "Show exactly what the chosen operations would do"),
    Action("choose", Place.MAIN, "space", "screen.choose", "choose", "Take the operation under the cursor in or out"),
    Action("history", Place.MAIN, "h", "history", "history", "Every job that ever was"),
    Action("zoom", Place.MAIN, "plus", "zoom", "zoom", "The focused pane over the whole screen, and back"),
    Action("pane-1", Place.MAIN, "1", "pane('targets')", "", "To the targets; the one under the cursor is current"),
    Action("pane-2", Place.MAIN, "2", "pane('operations')", "", "To the operations"),
    Action("pane-3", Place.MAIN, "3", "pane('jobs')", "", "To the jobs"),
    Action("pane-4", Place.MAIN, "4", "pane('detail')", "", "To the detail"),
    Action("open", Place.JOBS, "enter", "open", "open", "Every step with its SQL, the errors and the log"),
    Action("fold", Place.JOBS, "space", "fold", "fold", "Show or hide the operations of the job"),
    Action("unfold", Place.JOBS, "right,l", "fold(False)", "", "Show the operations of the job"),
    Action("fold-away", Place.JOBS, "left", "fold(True)", "", "Hide them again"),
    Action(
        "cancel",
        Place.JOBS,
        "c",
        "cancel",
        "cancel",
        "Cancel it, or the operation under the cursor (asks first)",
        writes=True,
    ),
    Action(
        "retry", Place.JOBS, "t", "retry", "retry", "Run a request that is over once more (asks first)", writes=True
    ),
    Action("pin", Place.JOBS, "m", "pin", "pin", "Pin the job: it stays when old history is removed", writes=True),
    Action("unpin", Place.JOBS, "m", "pin", "unpin", "Unpin it: it goes with old history again", writes=True),
    Action("submit", Place.PLAN, "enter", "submit", "run exactly this", "Run exactly what is shown", writes=True),
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
    Action(
        "pause",
        Place.EVERYWHERE,
        "P",
        "app.pause",
        "pause",
        "Let nothing new start, in any process (asks first)",
        writes=True,
    ),
    Action("resume", Place.EVERYWHERE, "P", "app.pause", "resume", "Let jobs start again", writes=True),
    Action("help", Place.EVERYWHERE, "question_mark,f1", "app.help", "help", "This page"),
    Action("back", Place.EVERYWHERE, "escape", "back", "back", "Back"),
    Action("quit", Place.EVERYWHERE, "q", "quit", "quit", "Back, and from the main screen out; jobs go on"),
)

VERBS: Final = {"submit": "run", "run": "run anything"}
"""What an action does, where its label would not say it in a sentence."""
BY_ID: Final = {action.id: action for action in ACTIONS}


def bindings(*ids: str) -> list[BindingType]:
    """The bindings of these actions, for a screen's or a widget's BINDINGS."""
    return [Binding(a.keys, a.call, a.label or a.help, id=a.id, show=False) for a in (BY_ID[name] for name in ids)]


def barred(action_id: str) -> str:
    """Why a console that is read-only does not do it, in a sentence."""
    action = BY_ID[action_id]
    instead = f" {BY_ID['plan'].shown_keys[0]} shows what it would do." if action_id == "run" else ""
    return (
        f"This console is read-only: it looks at everything and does not {VERBS.get(action_id, action.label)}.{instead}"
    )
