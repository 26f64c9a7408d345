"""Every action of the console, once: bindings, footer, help and the command list are made from this table.

The config file may give an action other keys: tui/console/keymap.py.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from textual.binding import Binding, BindingType

from engine.domain.frozen import frozen


class Place(StrEnum):
    """Where an action works: a heading of the help."""

    MAIN = "On the main screen"
    TARGETS = "On a target"
    FLEET = "On the fleet screen"
    SCHEDULES = "On a schedule"
    OPERATIONS = "On an operation"
    JOBS = "On a job"
    ROWS = "In a list of jobs"
    TREE = "In the job tree, the history, and plans of many targets"
    HISTORY = "In the history"
    PAGE = "On a page"
    JOB_PAGE = "On the page of a job"
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
    """For the footer; empty: the footer never names it."""
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


ACTIONS: Final = (
    Action("run", Place.MAIN, "r", "run", "run", "Show the plan of the chosen operations; enter there runs it"),
    Action("plan", Place.MAIN, "p", "plan", "plan", "Show the plan of the chosen operations"),
    Action("look", Place.MAIN, "a", "look", "inspect", "Inspect the target again, or all marked targets"),
    Action("examine", Place.MAIN, "x", "examine", "full inspection", "Full inspection (slow); press again to stop"),
    Action("search", Place.MAIN, "slash", "search", "", "Search the history"),
    Action("zoom", Place.MAIN, "plus", "zoom", "zoom", "Zoom the focused pane to the whole screen, and back"),
    Action("pane-1", Place.MAIN, "1", "pane('targets')", "", "Go to the targets"),
    Action("pane-2", Place.MAIN, "2", "pane('operations')", "", "Go to the operations"),
    Action("pane-3", Place.MAIN, "3", "pane('jobs')", "", "Go to the jobs"),
    Action("pane-4", Place.MAIN, "4", "pane('detail')", "", "Go to the detail"),
    Action("next-pane", Place.MAIN, "tab", "next_pane(1)", "", "Next pane"),
    Action("previous-pane", Place.MAIN, "shift+tab", "next_pane(-1)", "", "Previous pane"),
    Action("add", Place.TARGETS, "A", "add", "add", "Add a database to the config file"),
    Action("sample", Place.TARGETS, "d", "sample", "sample", "Build a sample database for this session"),
    Action(
        "mark-target",
        Place.TARGETS,
        "space",
        "screen.mark",
        "mark",
        "Mark or unmark, and move on: plan and run use all marked",
    ),
    Action("mark-all", Place.TARGETS, "asterisk", "screen.mark_all", "mark all", "Mark all targets that are shown"),
    Action("sort", Place.TARGETS, "s", "screen.sort", "sort", "Sort by name, level, gain, size, last check, last run"),
    Action(
        "filter-targets",
        Place.TARGETS,
        "slash",
        "search",
        "filter",
        "Filter: name, @group, level:now, engine:, label:, size:>1GB, checked:>30d",
        same_key_as="search",
    ),
    Action("edit", Place.TARGETS, "e", "screen.edit", "edit", "Edit the target in the config file, or save it there"),
    Action("remove", Place.TARGETS, "D", "screen.remove", "remove", "Remove it from the config file (asks first)"),
    Action("test", Place.TARGETS, "T", "screen.test", "test", "Test the connection: version, size, writable?"),
    Action("open-target", Place.FLEET, "enter", "open_target", "open", "Open the target on the main screen"),
    Action("run-needed", Place.FLEET, "r", "run_needed", "run", "Plan what the marked targets need; enter runs it"),
    Action("survey", Place.FLEET, "x", "survey", "survey", "Survey the marked targets again, or all that are shown"),
    Action("open-schedule", Place.SCHEDULES, "enter", "screen.open_schedule", "jobs", "Find its jobs in the history"),
    Action("run-schedule", Place.SCHEDULES, "r", "screen.run_schedule", "run now", "Run it now (asks first)"),
    Action("plan-schedule", Place.SCHEDULES, "p", "screen.plan_schedule", "plan", "Plan its next night as a timeline"),
    Action("disable-schedule", Place.SCHEDULES, "d", "screen.switch_schedule", "disable", "Let it be due no more"),
    Action(
        "enable-schedule",
        Place.SCHEDULES,
        "d",
        "screen.switch_schedule",
        "enable",
        "Let it be due again, from now on",
        same_key_as="disable-schedule",
    ),
    Action("choose", Place.OPERATIONS, "space", "screen.choose", "choose", "Select or deselect the operation"),
    Action(
        "open", Place.ROWS, "enter", "open", "open", "Open the job: steps with their SQL, errors, log; unfold the batch"
    ),
    Action(
        "mark",
        Place.ROWS,
        "space",
        "mark",
        "mark",
        "Mark or unmark: the next action is for all marked jobs and batches",
    ),
    Action(
        "cancel",
        Place.JOBS,
        "c",
        "cancel",
        "cancel",
        "Cancel the job, operation or batch under the cursor (asks first)",
    ),
    Action(
        "retry",
        Place.JOBS,
        "t",
        "retry",
        "retry",
        "Run this job again, or what it left undone (asks first)",
    ),
    Action("pin", Place.JOBS, "m", "pin", "pin", "Pin the job: retention never removes it"),
    Action("unpin", Place.JOBS, "m", "pin", "unpin", "Remove the pin: retention applies again", same_key_as="pin"),
    Action("fold", Place.TREE, "z", "fold", "fold", "Show or hide the operations of the job, or the jobs of the batch"),
    Action("unfold", Place.TREE, "right,l", "fold(False)", "", "Show them"),
    Action("fold-away", Place.TREE, "left", "fold(True)", "", "Hide them"),
    Action("filter", Place.HISTORY, "slash", "filter", "filter", "Filter by target, status, op, date or error text"),
    Action("find", Place.PAGE, "slash", "find", "find", "Find text on the page"),
    Action("find-next", Place.PAGE, "n", "find_next(1)", "next", "Next match"),
    Action("find-previous", Place.PAGE, "N", "find_next(-1)", "previous", "Previous match"),
    Action("details", Place.JOB_PAGE, "enter", "details", "details", "Show the details of the operation"),
    Action("unfold-log", Place.JOB_PAGE, "z", "unfold", "settings", "Show or hide log lines on settings"),
    Action("submit", Place.PLAN, "enter", "submit", "run this plan", "Run this plan"),
    Action("look-again", Place.PLAN, "a", "look", "plan again", "Make the plan again from the current state"),
    Action("save", Place.FORM, "enter", "save", "save", "Save the target"),
    Action("tick", Place.FORM, "space", "screen.tick", "choose", "Select or deselect the operation under the cursor"),
    Action("test-form", Place.FORM, "ctrl+t,T", "test", "test", "Test the connection before saving"),
    Action("next-field", Place.FORM, "down", "app.focus_next", "", "Next field (also tab)"),
    Action("previous-field", Place.FORM, "up", "app.focus_previous", "", "Previous field (also shift+tab)"),
    Action("next-command", Place.PALETTE, "down,ctrl+n", "screen.move(1)", "", "Next command"),
    Action("previous-command", Place.PALETTE, "up,ctrl+p", "screen.move(-1)", "", "Previous command"),
    Action("do-command", Place.PALETTE, "enter", "do", "run", "Run the command under the cursor"),
    Action("close-commands", Place.PALETTE, "escape", "close", "back", "Close the list"),
    Action("yes", Place.QUESTION, "y", "yes", "yes", "Yes"),
    Action("no", Place.QUESTION, "enter,n,escape,q", "no", "no", "No, change nothing"),
    Action("confirm", Place.TYPED, "enter", "confirm", "confirm", "Confirm, if the text matches"),
    Action("leave", Place.TYPED, "escape", "leave", "back", "Close without a change"),
    Action("keep", Place.ENTRY, "enter", "submit", "keep", "Keep the text and go to the results"),
    Action("clear", Place.ENTRY, "escape", "screen.back", "clear", "Clear the text and show everything"),
    Action("down", Place.LIST, "down,j", "move(1)", "", "Down"),
    Action("up", Place.LIST, "up,k", "move(-1)", "", "Up"),
    Action("page-down", Place.LIST, "pagedown,ctrl+f", "page(1)", "", "Page down"),
    Action("page-up", Place.LIST, "pageup,ctrl+u", "page(-1)", "", "Page up"),
    Action("first", Place.LIST, "g,home", "first", "", "First line"),
    Action("last", Place.LIST, "G,end", "last", "", "Last line"),
    Action("palette", Place.EVERYWHERE, "colon", "app.palette", "command", "List every command that works here"),
    Action("history", Place.EVERYWHERE, "h", "app.history", "history", "Open the history: all jobs"),
    Action("fleet", Place.EVERYWHERE, "f", "app.fleet", "fleet", "Open the fleet: all targets, the most urgent first"),
    Action("schedules", Place.EVERYWHERE, "S", "app.schedules", "schedules", "Show the schedules and their nights"),
    Action("workers", Place.EVERYWHERE, "w", "app.workers", "workers", "Show the worker processes"),
    Action("pause", Place.EVERYWHERE, "P", "app.pause", "pause", "Pause: no process starts operations (asks first)"),
    Action("resume", Place.EVERYWHERE, "P", "app.pause", "resume", "Resume: jobs start again", same_key_as="pause"),
    Action(
        "doctor",
        Place.EVERYWHERE,
        "i",
        "app.doctor",
        "doctor",
        "Check versions, paths, limits; show fixes",
    ),
    Action("copy", Place.EVERYWHERE, "y", "copy", "copy", "Copy the row, the error or the SQL to the clipboard"),
    Action("theme", Place.EVERYWHERE, "C", "app.palette('theme ')", "", "Choose a colour theme"),
    Action(
        "faster",
        Place.EVERYWHERE,
        "greater_than_sign",
        "app.refresh_by(0.5)",
        "",
        "Refresh twice as often",
    ),
    Action("slower", Place.EVERYWHERE, "less_than_sign", "app.refresh_by(2)", "", "Refresh half as often"),
    Action("help", Place.EVERYWHERE, "question_mark,f1", "app.help", "help", "Show this help"),
    Action("suspend", Place.EVERYWHERE, "ctrl+z", "app.suspend_process", "", "Suspend to the shell; fg returns"),
    Action("back", Place.EVERYWHERE, "escape", "back", "back", "Back"),
    Action("quit", Place.EVERYWHERE, "q", "quit", "quit", "Back; on the main screen: quit. Jobs go on"),
    Action("leave-console", Place.EVERYWHERE, "ctrl+c", "app.leave", "", "Quit the console. Jobs go on"),
)

BY_ID: Final = {action.id: action for action in ACTIONS}

_ALWAYS: Final = frozenset({Place.LIST, Place.EVERYWHERE})
_SITUATIONS: Final = (
    _ALWAYS | {Place.MAIN, Place.JOBS, Place.TARGETS},
    _ALWAYS | {Place.MAIN, Place.JOBS, Place.OPERATIONS},
    _ALWAYS | {Place.MAIN, Place.JOBS, Place.ROWS, Place.TREE},
    _ALWAYS | {Place.FLEET, Place.TARGETS},
    _ALWAYS | {Place.HISTORY, Place.JOBS, Place.ROWS, Place.TREE},
    _ALWAYS | {Place.PAGE, Place.JOBS, Place.JOB_PAGE},
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
