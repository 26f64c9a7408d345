"""The keys of the config file that are no options of a request: each declared once, with its type and meaning.

The key has the name of a field in `engine.config.model` or `Retention`, which holds its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.number_types import Age, Seconds, Whole
from engine.domain.requests import Operation
from engine.domain.value_types import ChoiceList, Flag, Names, Text, ValueType


@frozen
class Key:
    type: ValueType
    help: str


TARGET_KEYS: Final[Mapping[str, Key]] = {
    "url": Key(Text(), "a path or a URL; a password in it is refused"),
    "label": Key(Text(), "such as `PROD`: shown wherever the target is named ([production](../how-to/production.md))"),
    "groups": Key(Names("group"), "the groups it belongs to: `@eu` stands for all targets of the group eu"),
    "exclude": Key(Names("pattern"), "where the URL is a pattern: names, paths or databases that it leaves out"),
    "operations": Key(ChoiceList("operation", Operation), "the operations chosen by default"),
}
DEFAULTS_KEYS: Final[Mapping[str, Key]] = {
    "workers": Key(Whole("number of workers", most=64), "how many databases at once, over all runs and workers"),
    "grace": Key(Seconds(), "how long running operations may go on after SIGTERM"),
}
CONSOLE_KEYS: Final[Mapping[str, Key]] = {
    "theme": Key(Text(), "`dbtend`, `dbtend-light`, `high-contrast`, `ansi-dark` or `ansi-light`"),
    "refresh": Key(Seconds(), "seconds between two reads of running jobs"),
    "mouse": Key(Flag(), "whether the console uses the mouse"),
    "read_only": Key(Flag(), "show everything, run nothing"),
}
RETENTION_KEYS: Final[Mapping[str, Key]] = {
    "completed": Key(Age(), "how long completed jobs are kept; `forever` keeps them all"),
    "failed": Key(Age(), "how long failed jobs are kept"),
    "cancelled": Key(Age(), "how long cancelled jobs are kept"),
    "keep_last": Key(Whole("number of jobs", most=10_000, least=0), "the newest jobs of each target stay at any age"),
}
