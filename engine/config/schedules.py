"""Parses the sections `[schedules.NAME]` of a config file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.config.keys import SCHEDULE_KEYS
from engine.config.model import GROUP, TargetEntry, expand_home, targets_called
from engine.config.typed_table import Table
from engine.domain.humanize import listed, span
from engine.domain.lazy_import import lazy
from engine.domain.masking import holds_password
from engine.domain.option_spec import OptionSpec, Place
from engine.domain.option_specs import options_at
from engine.domain.schedules import Schedule
from engine.domain.spelling import closest
from engine.domain.value_types import shortened

if TYPE_CHECKING:
    from engine.domain import due_times
else:
    due_times = lazy("engine.domain.due_times", "only a schedule needs it")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_OPTIONS: Final[Mapping[str, OptionSpec]] = options_at(Place.TARGET)


def parse_schedules(table: Table, targets: Collection[TargetEntry]) -> tuple[Schedule, ...]:
    """`targets`: all of the file. Raises ConfigError."""
    return tuple(_schedule(entry, targets) for entry in table.tables())


def _schedule(entry: Table, targets: Collection[TargetEntry]) -> Schedule:
    name = entry.path[-1]
    if not _NAME.fullmatch(name):
        entry.fail_itself("cannot be its name", "use letters, digits, _, - and ., at most 64")
    entry.allow_only(*SCHEDULE_KEYS, *_OPTIONS)
    values: dict[str, Any] = entry.values(SCHEDULE_KEYS)
    for key, hint in (("targets", 'such as targets = ["@eu", "/srv/*.db"]'), ("start", 'such as start = "0 22 * * *"')):
        if key not in values:
            entry.fail(key, "is missing", hint)
    for key in ("targets", "exclude"):
        if any(map(holds_password, values.get(key, ()))):
            entry.fail(key, "must not hold a password", "put it into ~/.pgpass, a libpq service file, or ~/.my.cnf")
    values["targets"] = tuple(_target(word, entry, targets) for word in values["targets"])
    schedule = Schedule(name=name, **values, settings=entry.values(_OPTIONS))
    window = due_times.shortest_window(schedule)
    if window == 0:
        entry.fail("until", "is also a time at which it starts: the window is empty", "give another time of day")
    if window is not None and schedule.stagger >= 60 * window:
        hint = f"give less than {span(60 * window)}"
        entry.fail("stagger", "is as long as the window: some targets would never start", hint)
    return schedule


def _target(word: str, entry: Table, targets: Collection[TargetEntry]) -> str:
    """The word, with ~ expanded. Raises ConfigError if it names no target of the file, and no path or URL."""
    is_path_or_url = word.startswith(("/", "~")) or "://" in word or "=" in word or ":/" in word
    is_named = bool(targets_called(word, targets))
    if word.startswith(GROUP) and not is_named:
        known = sorted({GROUP + group for target in targets for group in target.groups})
        hint = f"there is {listed(known)}" if known else "no target of the file has groups"
        entry.fail("targets", f"names {shortened(word)}, which is no group of the file", hint)
    elif not is_named and not is_path_or_url:
        close = closest(word, [target.name for target in targets])
        hint = f"did you mean {close}?" if close else "give the name of a target, @GROUP, a full path or a URL"
        entry.fail("targets", f"names {shortened(word)}, which is no target of the file", hint)
    try:
        return expand_home(word)
    except RuntimeError:
        entry.fail("targets", f"has {shortened(word)}, whose home directory is unknown", "give the full path")
