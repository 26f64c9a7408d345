"""What the main screen knows of its targets: how they are, which one is current, which are marked, what is chosen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from engine import Advice, CheckLevel, Operation, Options, Request, TargetInfo
from engine.config.model import TargetEntry
from engine.domain.advice import checked_first, needed
from engine.domain.errors import DbtendError
from engine.inspection import inspector
from tui.console.views.lists import TargetState


class TargetModel:
    """What is needed starts out chosen, or what the config file names for a target; then what the user says.

    A target keeps its number for as long as it is here; what comes to be known of one that has gone is let go.
    """

    def __init__(self, entries: Iterable[TargetEntry]) -> None:
        self._states: dict[int, TargetState] = {}
        self._next = 0
        self.current = 0
        self._marked: set[int] = set()
        self._said: dict[int, frozenset[Operation]] = {}
        self._check_said: set[int] = set()
        """The targets on which the user has said whether there is to be a check."""
        self._unsettled: set[int] = set()
        for entry in entries:
            self.add(entry)

    # Which targets there are

    @property
    def states(self) -> Mapping[int, TargetState]:
        """All targets by number, in order."""
        return self._states

    @property
    def state(self) -> TargetState | None:
        """The current target; None where there is none at all."""
        return self._states.get(self.current)

    def add(self, entry: TargetEntry, *, saved: bool = True) -> int:
        """Put a target at the end; its number. `saved`: whether the config file has it."""
        number, self._next = self._next, self._next + 1
        self._states[number] = TargetState(entry, saved=saved)
        if len(self._states) == 1:
            self.current = number
        return number

    def change(self, number: int, entry: TargetEntry) -> int:
        """It is saved as this; its number, which is another where it is another database."""
        old = self._states[number]
        if old.entry.url == entry.url:
            self._states[number] = replace(old, entry=entry, saved=True)
            return number
        new = self.add(entry)
        state = self._states.pop(new)
        self._states = {new if n == number else n: state if n == number else s for n, s in self._states.items()}
        self.current = new if self.current == number else self.current
        self._forget(number)
        return new

    def remove(self, number: int) -> None:
        """It is gone; if it was the current one, the one below is, or the last."""
        numbers = list(self._states)
        at = numbers.index(number)
        del self._states[number]
        self._forget(number)
        if self.current == number and self._states:
            self.current = list(self._states)[min(at, len(self._states) - 1)]

    def _forget(self, number: int) -> None:
        self._marked.discard(number)
        self._unsettled.discard(number)
        self.forget_choice([number])

    # Marks

    @property
    def marked(self) -> list[int]:
        """The marked targets, in order."""
        return [number for number in self._states if number in self._marked]

    @property
    def at_hand(self) -> list[int]:
        """What an action is for: the marked targets, or the current one where none is marked."""
        return self.marked or [number for number in (self.current,) if number in self._states]

    def mark(self) -> None:
        """Mark the current target, or take its mark away."""
        if self.current in self._states:
            self._marked ^= {self.current}

    def unmark(self) -> None:
        self._marked.clear()

    # What is known of them

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

    def look(self, numbers: Iterable[int]) -> None:
        """Somebody wants these to be looked at anew."""
        for number in numbers:
            self._learn(number, is_looked_at=True)

    def learn(self, number: int, info: TargetInfo) -> None:
        """A target was looked at."""
        self._learn(number, info=info, error=None)

    def heed(self, number: int, advice: tuple[Advice, ...]) -> None:
        """It is known what a target needs; no advice: it cannot be known."""
        self._learn(number, advice=advice, is_looked_at=False)
        self._unsettled.discard(number)

    def leave_unadvised(self, number: int, *, is_busy: bool) -> None:
        """What a target needs cannot be found out just now; what the last look said stands, if there was one."""
        if number in self._states:
            self.heed(number, self._states[number].advice or ())
            self._unsettled |= {number} if is_busy else set()

    def give_up(self, number: int, error: DbtendError) -> None:
        """A target cannot be opened."""
        if number in self._states:
            was_there = self._states[number].was_there or self._states[number].info is not None
            self._learn(number, info=None, error=error, advice=None, is_looked_at=False, was_there=was_there)
            self._unsettled.add(number)

    def _learn(self, number: int, **news: object) -> None:
        if number in self._states:
            self._states[number] = replace(self._states[number], **news)  # type: ignore[arg-type]

    # What is chosen on them

    @property
    def chosen(self) -> frozenset[Operation]:
        """The operations that are chosen on the current target."""
        return self._chosen_on(self.current)

    @property
    def check_level(self) -> CheckLevel | None:
        """How thorough a check of the current target is: as it is advised, as long as it is chosen by the advice."""
        if self.state is None:
            return None
        options = self.state.entry.options
        return options.check or self._advised_check(self.current) or options.check_level

    def toggle(self, operation: Operation) -> None:
        """Take an operation in or out, on the current target and on all that are marked."""
        wanted = self.chosen ^ {operation}
        for number in {self.current, *self._marked} & self._states.keys():
            is_check_said = operation is Operation.CHECK or number in self._check_said
            self.forget_choice([number])
            is_known = self._states[number].advice is not None and not is_check_said
            if is_known and self._chosen_on(number) == wanted:
                continue  # as it was before anything was said
            self._said[number] = wanted
            self._check_said |= {number} if is_check_said else set()

    def forget_choice(self, numbers: Collection[int]) -> None:
        """What was chosen on these is under way: from now on what is needed is chosen again."""
        for number in numbers:
            self._said.pop(number, None)
            self._check_said.discard(number)

    def request(self, number: int | None = None) -> Request | None:
        """What is chosen, in the engine's order, or as it is advised; None where nothing is chosen or can be.

        `number`: of which target; None: of the current one.
        """
        number = self.current if number is None else number
        chosen = self._chosen_on(number)
        if not chosen:
            return None
        entry = self._states[number].entry
        if number not in self._said and not entry.operations:
            return self._needed_by(number)
        operations = tuple(operation for operation in self._offered_by(number) if operation in chosen)
        options = self._advised_options(number, operations)
        if Operation.CHECK in operations:
            options = replace(options, check=options.check or self._advised_check(number))
        request = Request(target=entry.url, operations=operations, options=options)
        return inspector.applicable(checked_first(request, self._states[number].advice or ()))

    def _advised_options(self, number: int, operations: tuple[Operation, ...]) -> Options:
        """With the tables and indexes that these operations are advised for."""
        entry, advice = self._states[number].entry, self._states[number].advice
        request = Request(target=entry.url, operations=operations, options=entry.options)
        advised = None if entry.operations else needed(request, advice or ())
        if advised is None:
            return entry.options
        rebuild = advised.options.objects_for(Operation.REINDEX) if Operation.REINDEX in advised.operations else ()
        if frozenset(operations) <= frozenset(advised.operations):
            objects, rebuild = advised.options.objects, advised.options.rebuild
        else:
            objects = entry.options.objects
        return replace(entry.options, objects=objects, rebuild=rebuild, leave_out=advised.options.leave_out)

    def request_of(self, operation: Operation) -> Request | None:
        """This operation alone on the current target, as it would be asked for; None where there is no target."""
        if self.state is None:
            return None
        whole = self.request()
        if whole is not None and operation in whole.operations:
            options = replace(whole.options, objects=whole.options.objects_for(operation), rebuild=())
            return inspector.applicable(replace(whole, operations=(operation,), options=options))
        options = self.state.entry.options
        if operation is Operation.CHECK:
            options = replace(options, check=self.check_level)
        return inspector.applicable(Request(target=self.state.entry.url, operations=(operation,), options=options))

    def _chosen_on(self, number: int) -> frozenset[Operation]:
        state, offered = self._states.get(number), frozenset(self._offered_by(number))
        if state is None or not offered:
            return frozenset()
        if number in self._said:
            return self._said[number] & offered
        if state.entry.operations:
            return frozenset(state.entry.operations) & offered
        request = self._needed_by(number)
        return frozenset() if request is None else frozenset(request.operations)

    def _offered_by(self, number: int) -> tuple[Operation, ...]:
        state = self._states.get(number)
        return tuple(offer.operation for offer in state.info.operations) if state and state.info else ()

    def _advised_check(self, number: int) -> CheckLevel | None:
        """How thorough a check is advised; None where there is to be none, or the user or the config asked for one."""
        if self._states[number].entry.operations or number in self._check_said:
            return None
        request = self._needed_by(number)
        return request.options.check if request is not None and Operation.CHECK in request.operations else None

    def _needed_by(self, number: int) -> Request | None:
        """All that the advice calls for on a target; what is usual where it cannot be advised on."""
        entry, advice, offered = self._states[number].entry, self._states[number].advice, self._offered_by(number)
        if advice is None:
            return None
        everything = Request(target=entry.url, operations=offered, options=entry.options)
        if not advice:
            usual = frozenset(inspector.default_operations(entry.url))
            return inspector.applicable(replace(everything, operations=tuple(o for o in offered if o in usual)))
        request = needed(everything, advice)
        return None if request is None else inspector.applicable(request)
