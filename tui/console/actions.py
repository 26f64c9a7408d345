"""Every action of the console, once: bindings, footer, help and the command list are made from this table.

The config file may give an action other keys: tui/console/keymap.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from textual.binding import Binding, BindingType

from engine.domain.frozen import frozen


class Place(StrEnum):
    """Where an action works: a heading of the help."""

    MAIN = "On the main screen"
    TARGETS = "In a list of targets"
    TARGET = "On a target of the main screen"
    FLEET = "On the fleet screen"
    SCHEDULES = "On a schedule"
    OPERATIONS = "On an operation"
    JOBS = "On a job"
    ROWS = "In a list of jobs"
    TREE = "In the job tree, the history, and plans of many targets"
    HISTORY = "In the history"
    PAGE = "On a page"
    JOB_PAGE = "On the page of a job"
    PAGE_MAP = "On a page map"
    PLAN = "In a plan"
    FORM = "In the target form"
    PALETTE = "In the command list"
    QUESTION = "In a yes/no question"
    TYPED = "In a question with typed confirmation"
    ENTRY = "While typing a filter or search text"
    LIST = "In every list and on every page"
    EVERYWHERE = "Everywhere"


@frozen
class Action:
    """Something a user can do. `id` never changes, config files name it; `call` is the Textual action."""

    id: str
    place: Place
    keys: str
    call: str
    label: str
    """The text in the footer; empty: the footer never names it."""
    help: str
    same_key_as: str = ""
    """The action that shares its key with this one: one key does one or the other."""

    @property
    def writes(self) -> bool:
        """Whether it changes something: a read-only console refuses it."""
        return self.id in _WRITES


_WRITES: Final = {
    "run": "running jobs",
    "submit": "running jobs",
    "cancel": "cancelling jobs",
    "retry": "running jobs",
    "pin": "pinning jobs",
    "unpin": "removing pins",
    "pause": "pausing",
    "resume": "resuming",
    "add": "adding targets",
    "sample": "building a sample",
    "edit": "editing targets",
    "remove": "removing targets",
    "run-schedule": "running schedules",
    "disable-schedule": "disabling schedules",
    "enable-schedule": "enabling schedules",
}
"""Actions that change something, and what a read-only console says is off."""


_TABLE: Final[Mapping[Place, Sequence[Sequence[str]]]] = {
    # id, keys, call, label, help, and the action that shares its key
    Place.MAIN: (
        ("run", "r", "part('run')", "run", "Show the plan of the chosen operations; enter there runs it"),
        ("plan", "p", "part('plan')", "plan", "Show the plan of the chosen operations; nothing runs"),
        ("look", "a", "part('look')", "inspect", "Inspect the target again, or all marked targets"),
        ("examine", "x", "part('examine')", "full inspection", "Full inspection (slow); press again to stop"),
        ("map", "M", "part('map')", "map", "Show what the pages of the SQLite file hold"),
        ("search", "slash", "search", "", "Search the history"),
        ("zoom", "plus", "zoom", "zoom", "Zoom the focused pane to the whole screen, and back"),
        ("pane-1", "1", "pane('targets')", "", "Go to the targets"),
        ("pane-2", "2", "pane('operations')", "", "Go to the operations"),
        ("pane-3", "3", "pane('jobs')", "", "Go to the jobs"),
        ("pane-4", "4", "pane('detail')", "", "Go to the detail"),
        ("next-pane", "tab", "next_pane(1)", "", "Next pane"),
        ("previous-pane", "shift+tab", "next_pane(-1)", "", "Previous pane"),
    ),
    Place.TARGETS: (
        ("mark-target", "space", "screen.mark", "mark", "Mark or unmark, and move on: plan and run use all marked"),
        ("mark-all", "asterisk", "screen.mark_all", "mark all", "Mark all targets that are shown"),
        ("sort", "s", "screen.sort", "sort", "Sort by name, level, gain, size, last check, last run"),
        ("filter-targets", "slash", "search", "filter",
         "Filter: name, @group, level:now, engine:, label:, size:>1GB, checked:>30d", "search"),
    ),
    Place.TARGET: (
        ("add", "A", "part('add')", "add", "Add a database to the config file"),
        ("sample", "d", "part('sample')", "sample", "Build a sample database for this session"),
        ("edit", "e", "screen.part('edit')", "edit", "Edit the target in the config file, or save it there"),
        ("remove", "D", "screen.part('remove')", "remove", "Remove it from the config file (asks first)"),
        ("test", "T", "screen.part('test')", "test", "Test the connection: version, size, writable?"),
    ),
    Place.FLEET: (
        ("open-target", "enter", "open_target", "open", "Open the target on the main screen"),
        ("run-needed", "r", "run_needed", "run", "Plan what the marked targets need; enter runs it"),
        ("plan-needed", "p", "plan_needed", "plan", "Plan what the marked targets need; nothing runs"),
        ("survey", "x", "survey", "survey", "Survey the marked targets again, or all that are shown"),
    ),
    Place.SCHEDULES: (
        ("open-schedule", "enter", "screen.open_schedule", "jobs", "Find its jobs in the history"),
        ("run-schedule", "r", "screen.run_schedule", "run now", "Run it now (asks first)"),
        ("plan-schedule", "p", "screen.plan_schedule", "plan", "Plan its next night as a timeline"),
        ("disable-schedule", "d", "screen.switch_schedule", "disable", "Let it be due no more"),
        ("enable-schedule", "d", "screen.switch_schedule", "enable",
         "Let it be due again, from now on", "disable-schedule"),
    ),
    Place.OPERATIONS: (
        ("choose", "space", "screen.part('choose')", "choose", "Select or deselect the operation"),
    ),
    Place.ROWS: (
        ("open", "enter", "open", "open", "Open the job: steps with their SQL, errors, log; unfold the batch"),
        ("mark", "space", "mark", "mark", "Mark or unmark: the next action is for all marked jobs and batches"),
    ),
    Place.JOBS: (
        ("cancel", "c", "part('cancel')", "cancel", "Cancel the job, operation or batch under the cursor (asks first)"),
        ("retry", "t", "part('retry')", "retry", "Run this job again, or what it left undone (asks first)"),
        ("pin", "m", "part('pin')", "pin", "Pin the job: retention never removes it"),
        ("unpin", "m", "part('pin')", "unpin", "Remove the pin: retention applies again", "pin"),
    ),
    Place.TREE: (
        ("fold", "z", "fold", "fold", "Show or hide the operations of the job, or the jobs of the batch"),
        ("unfold", "right,l", "fold(False)", "", "Show them"),
        ("fold-away", "left", "fold(True)", "", "Hide them"),
    ),
    Place.HISTORY: (
        ("filter", "slash", "filter", "filter", "Filter by target, status, op, date or error text"),
    ),
    Place.PAGE: (
        ("find", "slash", "find", "find", "Find text on the page"),
        ("find-next", "n", "find_next(1)", "next", "Next match"),
        ("find-previous", "N", "find_next(-1)", "previous", "Previous match"),
    ),
    Place.JOB_PAGE: (
        ("details", "enter", "details", "details", "Show the details of the operation"),
        ("unfold-log", "z", "unfold", "all", "Show every step with its command, and lines on settings; again: fewer"),
    ),
    Place.PAGE_MAP: (
        ("measure", "x", "measure", "measure", "Measure what scattered order costs; press again to stop"),
    ),
    Place.PLAN: (
        ("submit", "enter", "submit", "run this plan", "Run this plan"),
        ("exchange", "x", "exchange", "swap", "VACUUM by exchange (--swap), which is faster, or in place again"),
        ("look-again", "a", "look", "plan again", "Make the plan again from the current state"),
    ),
    Place.FORM: (
        ("save", "enter", "save", "save", "Save the target"),
        ("tick", "space", "screen.tick", "choose", "Select or deselect the operation under the cursor"),
        ("test-form", "ctrl+t,T", "test", "test", "Test the connection before saving"),
        ("next-field", "down", "app.focus_next", "", "Next field (also tab)"),
        ("previous-field", "up", "app.focus_previous", "", "Previous field (also shift+tab)"),
    ),
    Place.PALETTE: (
        ("next-command", "down,ctrl+n", "screen.move(1)", "", "Next command"),
        ("previous-command", "up,ctrl+p", "screen.move(-1)", "", "Previous command"),
        ("do-command", "enter", "do", "run", "Run the command under the cursor"),
        ("close-commands", "escape", "close", "back", "Close the list"),
    ),
    Place.QUESTION: (
        ("yes", "y", "yes", "yes", "Yes"),
        ("no", "enter,n,escape,q", "no", "no", "No, change nothing"),
    ),
    Place.TYPED: (
        ("confirm", "enter", "confirm", "confirm", "Confirm, if the text matches"),
        ("leave", "escape", "leave", "back", "Close without a change"),
    ),
    Place.ENTRY: (
        ("keep", "enter", "submit", "keep", "Keep the text and go to the results"),
        ("clear", "escape", "screen.back", "clear", "Clear the text and show everything"),
    ),
    Place.LIST: (
        ("down", "down,j", "move(1)", "", "Down"),
        ("up", "up,k", "move(-1)", "", "Up"),
        ("page-down", "pagedown,ctrl+f", "page(1)", "", "Page down"),
        ("page-up", "pageup,ctrl+u", "page(-1)", "", "Page up"),
        ("first", "g,home", "first", "", "First line"),
        ("last", "G,end", "last", "", "Last line"),
    ),
    Place.EVERYWHERE: (
        ("palette", "colon", "app.palette", "command", "List every command that works here"),
        ("history", "h", "app.history", "history", "Open the history: all jobs"),
        ("fleet", "f", "app.fleet", "fleet", "Open the fleet: all targets, the most urgent first"),
        ("schedules", "S", "app.schedules", "schedules", "Show the schedules and their nights"),
        ("workers", "w", "app.workers", "workers", "Show the worker processes"),
        ("pause", "P", "app.pause", "pause", "Pause: no process starts operations (asks first)"),
        ("resume", "P", "app.pause", "resume", "Resume: jobs start again", "pause"),
        ("doctor", "i", "app.doctor", "doctor", "Check versions, paths, limits; show fixes"),
        ("copy", "y", "copy", "copy", "Copy the row, the error or the SQL to the clipboard"),
        ("theme", "C", "app.palette('theme ')", "", "Choose a colour theme"),
        ("faster", "greater_than_sign", "app.refresh_by(0.5)", "", "Refresh twice as often"),
        ("slower", "less_than_sign", "app.refresh_by(2)", "", "Refresh half as often"),
        ("help", "question_mark,f1", "app.help", "help", "Show this help"),
        ("suspend", "ctrl+z", "app.suspend_process", "", "Suspend to the shell; fg returns"),
        ("back", "escape", "back", "back", "Back"),
        ("quit", "q", "quit", "quit", "Back; on the main screen: quit. Jobs go on"),
        ("leave-console", "ctrl+c", "app.leave", "", "Quit the console. Jobs go on"),
    ),
}  # fmt: skip
ACTIONS: Final = tuple(Action(name, place, *more) for place, actions in _TABLE.items() for name, *more in actions)

BY_ID: Final = {action.id: action for action in ACTIONS}

_ALWAYS: Final = frozenset({Place.LIST, Place.EVERYWHERE})
_SITUATIONS: Final = (
    _ALWAYS | {Place.MAIN, Place.JOBS, Place.TARGETS, Place.TARGET},
    _ALWAYS | {Place.MAIN, Place.JOBS, Place.OPERATIONS},
    _ALWAYS | {Place.MAIN, Place.JOBS, Place.ROWS, Place.TREE},
    _ALWAYS | {Place.FLEET, Place.TARGETS},
    _ALWAYS | {Place.HISTORY, Place.JOBS, Place.ROWS, Place.TREE},
    _ALWAYS | {Place.PAGE, Place.JOBS, Place.JOB_PAGE},
    _ALWAYS | {Place.PAGE, Place.PAGE_MAP},
    _ALWAYS | {Place.PAGE, Place.PLAN, Place.TREE},
    frozenset({Place.FORM, Place.EVERYWHERE}),
    frozenset({Place.PALETTE}),
    frozenset({Place.QUESTION}),
    frozenset({Place.TYPED}),
    frozenset({Place.ENTRY}),
)
"""Sets of places whose actions can be available at the same moment."""


def may_meet(one: Place, other: Place) -> bool:
    """Whether actions of both places can be available at the same moment, and so need different keys."""
    return any({one, other} <= situation for situation in _SITUATIONS)


_NEVER_TYPED: Final = frozenset({"leave-console", "suspend"})
"""Actions whose keys work even while text is typed."""


def bindings(*ids: str) -> list[BindingType]:
    """The bindings of these actions, for a screen's or a widget's BINDINGS."""
    return [
        Binding(a.keys, a.call, a.label or a.help, id=a.id, show=False, priority=a.id in _NEVER_TYPED)
        for a in (BY_ID[name] for name in ids)
    ]


def barred(action_id: str) -> str:
    """Why a read-only console refuses an action; names keys in braces."""
    instead = " {plan} shows the plan." if action_id == "run" else ""
    return f"Read-only: {_WRITES[action_id]} is off.{instead}"
