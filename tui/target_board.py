"""What the main screen knows of its targets: how they are, which one is current, what is chosen on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine import Operation, Request, TargetInfo, look
from engine.config import TargetEntry
from engine.errors import DbtendError
from tui.views.lists import TargetState


class TargetBoard:
    """What is usual starts out chosen, or what the config file names for a target."""

    def __init__(self, entries: Sequence[TargetEntry]) -> None:
        self.states = [TargetState(entry) for entry in entries]
        self.current = 0
        self._chosen: dict[int, frozenset[Operation]] = {}

    @property
    def state(self) -> TargetState | None:
        """The current target; None where there is none at all."""
        return self.states[self.current] if self.states else None

    @property
    def chosen(self) -> frozenset[Operation]:
        """The operations that are chosen on the current target."""
        return self._chosen.get(self.current, frozenset())

    def learn(self, number: int, info: TargetInfo) -> None:
        """A target was looked at."""
        state = self.states[number] = replace(self.states[number], info=info, error=None)
        offered = {offer.operation for offer in info.operations}
        wanted = state.entry.operations or look.default_operations(state.entry.url)
        self._chosen.setdefault(number, frozenset(wanted) & offered)

    def give_up(self, number: int, error: DbtendError) -> None:
        """A target cannot be opened."""
        self.states[number] = replace(self.states[number], info=None, error=error)

    def toggle(self, operation: Operation) -> None:
        """Take an operation of the current target in, or out."""
        self._chosen[self.current] = self.chosen ^ {operation}

    def request(self) -> Request | None:
        """The chosen operations in the engine's order; None where nothing is chosen or can be."""
        if self.state is None or self.state.info is None or not self.chosen:
            return None
        entry = self.state.entry
        return Request(
            target=entry.url,
            operations=tuple(o.operation for o in self.state.info.operations if o.operation in self.chosen),
            options=entry.options,
        )
