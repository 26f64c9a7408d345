"""What a key of the config file is; and the keys for workers, which are options of commands, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from engine.domain.frozen import frozen
from engine.domain.number_types import Seconds, Whole

if TYPE_CHECKING:
    from engine.domain.engines import EngineName
    from engine.domain.notifications import Method
    from engine.domain.value_types import ValueType


@frozen
class Key:
    type: ValueType
    help: str
    only: EngineName | Method | None = None
    """The one engine, or the one way of delivery, that it is for; None: for all."""


WORKER_KEYS: Final[Mapping[str, Key]] = {
    "workers": Key(Whole("number of workers", most=64), "how many databases at once, over all runs and workers"),
    "grace": Key(Seconds(), "how long running operations may go on after SIGTERM"),
}
