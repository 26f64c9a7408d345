"""What the main screen knows of its targets: how they are, which one is current, what is chosen on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine import Advice, CheckLevel, Operation, Request, TargetInfo, look
from engine.advice import needed
from engine.config import TargetEntry
from engine.errors import DbtendError
from tui.views.lists import TargetState


class TargetBoard:
    """What is needed starts out chosen, or what the config file names for a target; then what the user says."""

    def __init__(self, entries: Sequence[TargetEntry]) -> None:
        self.states = [TargetState(entry) for entry in entries]
        self.current = 0
        self._said: dict[int, frozenset[Operation]] = {}
        self._check_said: set[int] = set()
        """The targets on which the user has said whether there is to be a check."""
        self._unsettled: set[int] = set()

    @property
    def state(self) -> TargetState | None:
        """The current target; None where there is none at all."""
        return self.states[self.current] if self.states else None

    @property
    def chosen(self) -> frozenset[Operation]:
        """The operations that are chosen on the current target."""
        return self._said.get(self.current, self._proposed)

    @property
    def check_level(self) -> CheckLevel | None:
        """How thorough a check of the current target is: as it is advised, as long as it is chosen by the advice."""
        if self.state is None:
            return None
        options = self.state.entry.options
        return options.check or self._advised_check or options.check_level

    @property
    def unsettled(self) -> list[int]:
        """The targets that could not be looked at the last time, or were busy: they may be well the next time."""
        return sorted(self._unsettled)

    @property
    def is_being_looked_at(self) -> bool:
        """Whether what is chosen on the current target is still open, as nobody knows yet what it needs."""
        if self.state is None or self.state.error is not None or self.chosen or self.current in self._said:
            return False
        return self.state.info is None or self.state.advice is None

    @property
    def _proposed(self) -> frozenset[Operation]:
        if self.state is None or self.state.info is None:
            return frozenset()
        if self.state.entry.operations:
            return frozenset(self.state.entry.operations) & frozenset(self._offered)
        request = self._needed()
        return frozenset() if request is None else frozenset(request.operations)

    @property
    def _offered(self) -> tuple[Operation, ...]:
        info = self.state and self.state.info
        return tuple(offer.operation for offer in info.operations) if info else ()

    def learn(self, number: int, info: TargetInfo) -> None:
        """A target was looked at."""
        self.states[number] = replace(self.states[number], info=info, error=None)

    def heed(self, number: int, advice: tuple[Advice, ...]) -> None:
        """It is known what a target needs; no advice: it cannot be known."""
        self.states[number] = replace(self.states[number], advice=advice)
        self._unsettled.discard(number)

    def leave_unadvised(self, number: int, *, is_busy: bool) -> None:
        """What a target needs cannot be found out just now; what the last look said stands, if there was one."""
        self.heed(number, self.states[number].advice or ())
        if is_busy:
            self._unsettled.add(number)

    def give_up(self, number: int, error: DbtendError) -> None:
        """A target cannot be opened."""
        self.states[number] = replace(self.states[number], info=None, error=error, advice=None)
        self._unsettled.add(number)

    def toggle(self, operation: Operation) -> None:
        """Take an operation of the current target in, or out."""
        self._said[self.current] = self.chosen ^ {operation}
        if operation is Operation.CHECK:
            self._check_said.add(self.current)

    def forget_choice(self) -> None:
        """What was chosen on the current target is under way: from now on what is needed is chosen again."""
        self._said.pop(self.current, None)
        self._check_said.discard(self.current)

    def request(self) -> Request | None:
        """What is chosen, in the engine's order, or as it is advised; None where nothing is chosen or can be."""
        if self.state is None or not self.chosen:
            return None
        entry = self.state.entry
        if self.current not in self._said and not entry.operations:
            return self._needed()
        operations = tuple(operation for operation in self._offered if operation in self.chosen)
        options = entry.options
        if Operation.CHECK in operations:
            options = replace(options, check=options.check or self._advised_check)
        return Request(target=entry.url, operations=operations, options=options)

    @property
    def _advised_check(self) -> CheckLevel | None:
        """How thorough a check is advised; None where there is to be none, or the user or the config asked for one."""
        if self.state is None or self.state.entry.operations or self.current in self._check_said:
            return None
        request = self._needed()
        return request.options.check if request is not None and Operation.CHECK in request.operations else None

    def _needed(self) -> Request | None:
        """All that the advice calls for on the current target; what is usual where it cannot be advised on."""
        if self.state is None:
            return None
        entry, advice = self.state.entry, self.state.advice
        if advice is None:
            return None
        everything = Request(target=entry.url, operations=self._offered, options=entry.options)
        if not advice:
            usual = frozenset(look.default_operations(entry.url))
            return replace(everything, operations=tuple(o for o in self._offered if o in usual))
        return needed(everything, advice)
