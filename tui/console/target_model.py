"""The targets of the main screen: their state, which one is current, which are marked, which operations are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import Advice, CheckLevel, Operation, Options, Request, TargetInfo
from engine.config.model import TargetEntry
from engine.domain.advice import checked_first, if_needed, needed
from engine.domain.errors import DbtendError, HotJournalError
from engine.domain.surveys import FleetLevel
from engine.fleet.expansion import may_name_databases
from engine.fleet.patterns import natural_order
from engine.inspection import inspector
from tui.console.views.lists import TargetState, level_of

if TYPE_CHECKING:
    from engine.domain.steps import Micros
    from engine.domain.surveys import LastJob, Survey


class TargetModel:
    """Chosen at first: what the config file names for a target, else what it needs; then what the user chooses.

    A target keeps its number while it is listed. News of a target that was removed is ignored.
    """

    def __init__(self, entries: Iterable[TargetEntry]) -> None:
        self._states: dict[int, TargetState] = {}
        self._next = 0
        self.current = 0
        self.names_version = 0
        """Grows with every change of the targets and their entries."""
        self._marked: set[int] = set()
        self._chosen_by_user: dict[int, frozenset[Operation]] = {}
        self._check_chosen: set[int] = set()
        """The targets for which the user has chosen or deselected the check."""
        self._to_retry: set[int] = set()
        self.failed: set[int] = set()
        """The targets that could not be opened at the last inspection."""
        self._levels = Counter[FleetLevel]()
        self._scheduled = 0
        self._oldest: Micros | None = None
        self._is_oldest_known = True
        self.add_all((entry, True) for entry in entries)

    # Targets

    def _put(self, number: int, state: TargetState | None) -> None:
        """Replace the state of a target, or remove it: nothing else writes `_states`, but its order."""
        old = self._states.get(number)
        for one, by in ((old, -1), (state, 1)):
            if one is None:
                continue
            level = level_of(one)
            if level is not None and not one.is_pattern:
                self._levels[level] += by
            self._scheduled += by * (one.next_due is not None)
        if state is None:
            del self._states[number]
        else:
            self._states[number] = state
        (self.failed.add if state is not None and state.error is not None else self.failed.discard)(number)
        was, now = (one.survey.surveyed_at if one is not None and one.survey else None for one in (old, state))
        if was is not None and was == self._oldest and now != was:
            self._is_oldest_known = False
        elif now is not None and (self._oldest is None or now < self._oldest):
            self._oldest = now

    @property
    def levels(self) -> Mapping[FleetLevel, int]:
        """How many targets have each level, the most urgent first."""
        return {level: self._levels[level] for level in FleetLevel}

    @property
    def has_schedules(self) -> bool:
        """Whether a schedule starts any of them."""
        return self._scheduled > 0

    @property
    def oldest_survey(self) -> Micros | None:
        """When the oldest survey was made; None: there is none."""
        if not self._is_oldest_known:
            surveys = (state.survey for state in self._states.values())
            self._oldest = min((survey.surveyed_at for survey in surveys if survey is not None), default=None)
            self._is_oldest_known = True
        return self._oldest

    @property
    def states(self) -> Mapping[int, TargetState]:
        """All targets by number, in the natural order of their names."""
        return self._states

    @property
    def state(self) -> TargetState | None:
        """The current target; None where there is none at all."""
        return self._states.get(self.current)

    def add(self, entry: TargetEntry, *, saved: bool = True) -> int:
        """Add a target; returns its number. `saved`: whether the config file has it."""
        (number,) = self.add_all([(entry, saved)])
        return number

    def add_all(self, entries: Iterable[tuple[TargetEntry, bool]]) -> list[int]:
        """Add targets, each with whether the config file has it; returns their numbers."""
        was_empty = not self._states
        added = []
        for entry, saved in entries:
            number, self._next = self._next, self._next + 1
            self._states[number] = TargetState(entry, saved=saved, is_pattern=may_name_databases(entry.url))
            added.append(number)  # nothing is known of it that `_put` would count
        self._sort()
        if was_empty and self._states:
            self.current = next(iter(self._states))
        return added

    def _sort(self) -> None:
        self.names_version += 1
        self._states = dict(sorted(self._states.items(), key=lambda one: natural_order(one[1].entry.name)))

    def expand(self, number: int, entries: Iterable[TargetEntry]) -> list[int]:
        """Replace a pattern by the targets that it stands for; returns their numbers."""
        pattern = self._states[number]
        was_current = self.current == number
        self.remove(number)
        added = self.add_all((entry, pattern.saved) for entry in entries)
        for one in added:  # a name with a wildcard in it is a name
            self._update(one, is_pattern=False)
        if was_current and added:
            self.current = next(n for n in self._states if n in set(added))
        return added

    def change(self, number: int, entry: TargetEntry) -> int:
        """The config file has this entry now; returns its number, a new one for another database."""
        old = self._states[number]
        if old.entry.url == entry.url:
            self._put(number, replace(old, entry=entry, saved=True))
            self._sort()
            return number
        was_current = self.current == number
        self._put(number, None)
        self._forget(number)
        new = self.add(entry)
        self.current = new if was_current else self.current
        return new

    def remove(self, number: int) -> None:
        """Remove a target; if it was the current one, the next below becomes current, or the last."""
        numbers = list(self._states)
        at = numbers.index(number)
        self.names_version += 1
        self._put(number, None)
        self._forget(number)
        if self.current == number and self._states:
            self.current = list(self._states)[min(at, len(self._states) - 1)]

    def _forget(self, number: int) -> None:
        self._marked.discard(number)
        self._to_retry.discard(number)
        self.reset_choice([number])

    # Marks

    @property
    def marked(self) -> list[int]:
        """The marked targets, in order."""
        return [number for number in self._states if number in self._marked] if self._marked else []

    @property
    def selected(self) -> list[int]:
        """The targets that an action is for: the marked ones, or else the current one."""
        return self.marked or [number for number in (self.current,) if number in self._states]

    def is_marked(self, number: int) -> bool:
        return number in self._marked

    @property
    def marked_count(self) -> int:
        return len(self._marked)

    def mark(self) -> None:
        if self.current in self._states:
            self._marked ^= {self.current}

    def mark_all(self, numbers: Collection[int]) -> None:
        """Mark these; if all are marked, unmark them."""
        if self._marked.issuperset(numbers):
            self._marked.difference_update(numbers)
        else:
            self._marked.update(numbers)

    def unmark(self) -> None:
        self._marked.clear()

    # State

    @property
    def to_retry(self) -> list[int]:
        """The targets that were unavailable or busy at the last inspection."""
        return sorted(self._to_retry)

    @property
    def is_pending(self) -> bool:
        """Whether the choice on the current target still waits for its inspection or advice."""
        if self.state is None or self.state.error is not None or self.chosen or self.current in self._chosen_by_user:
            return False
        return self.state.info is None or self.state.advice is None

    def set_inspecting(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._update(number, is_inspecting=True)

    def set_info(self, number: int, info: TargetInfo) -> None:
        self._update(number, info=info, last_info=info, error=None)

    def set_advice(self, number: int, advice: tuple[Advice, ...]) -> None:
        """What a target needs; empty: unknown."""
        self._update(number, advice=advice, is_inspecting=False)
        self._to_retry.discard(number)

    def set_advice_failed(self, number: int, *, is_busy: bool) -> None:
        """The advice could not be read; the advice of the last inspection stays."""
        if number in self._states:
            self.set_advice(number, self._states[number].advice or ())
            self._to_retry |= {number} if is_busy else set()

    def set_error(self, number: int, error: DbtendError) -> None:
        if number in self._states:
            self._update(number, info=None, error=error, advice=None, is_inspecting=False)
            self._to_retry.add(number)

    def set_survey(self, number: int, survey: Survey | None, last_job: LastJob | None) -> None:
        self._update(number, survey=survey, last_job=last_job)

    def set_stored(self, number: int, survey: Survey | None, last_job: LastJob | None, next_due: Micros | None) -> None:
        """What the store says of a target. `survey`: None leaves the one that is known."""
        if number in self._states:
            known = self._states[number].survey
            self._update(number, survey=survey or known, last_job=last_job, next_due=next_due)

    def _update(self, number: int, **news: object) -> None:
        if number in self._states:
            self._put(number, replace(self._states[number], **news))  # type: ignore[arg-type]

    # Chosen operations

    @property
    def chosen(self) -> frozenset[Operation]:
        return self._chosen_on(self.current)

    @property
    def check_level(self) -> CheckLevel | None:
        """How thorough a check of the current target is: as advised, while the check is chosen by the advice."""
        if self.state is None:
            return None
        options = self.state.entry.options
        return options.check or self._advised_check(self.current) or options.check_level

    def toggle(self, operation: Operation) -> None:
        """Select or deselect an operation, on the current target and on all marked ones."""
        if operation not in self._offered_by(self.current):
            return
        wanted = self.chosen ^ {operation}
        for number in {self.current, *self._marked} & self._states.keys():
            is_check_chosen = operation is Operation.CHECK or number in self._check_chosen
            self.reset_choice([number])
            is_known = self._states[number].advice is not None and not is_check_chosen
            if is_known and self._chosen_on(number) == wanted:
                continue  # back to the choice by advice
            self._chosen_by_user[number] = wanted
            self._check_chosen |= {number} if is_check_chosen else set()

    def reset_choice(self, numbers: Collection[int]) -> None:
        """The choice on these targets was submitted: choose by advice again."""
        for number in numbers:
            self._chosen_by_user.pop(number, None)
            self._check_chosen.discard(number)

    def request(self, number: int | None = None) -> Request | None:
        """A request for the chosen operations, in the engine's order or as advised; None: nothing is chosen.

        `number`: the target; None: the current one.
        """
        number = self.current if number is None else number
        if number not in self._states:
            return None
        entry, chosen = self._states[number].entry, self._chosen_on(number)
        if isinstance(self._states[number].error, HotJournalError):  # a job rolls it back
            return inspector.applicable(Request(target=entry.url, operations=(Operation.CHECK,), options=entry.options))
        if number not in self._chosen_by_user and not entry.operations:
            return self._needed_by(number)
        if not chosen:
            return None
        operations = tuple(operation for operation in self._offered_by(number) if operation in chosen)
        options = self._advised_options(number, operations)
        if Operation.CHECK in operations:
            options = replace(options, check=options.check or self._advised_check(number))
        request = Request(target=entry.url, operations=operations, options=options)
        return inspector.applicable(checked_first(request, self._states[number].advice or ()))

    def request_unopened(self, number: int) -> Request:
        """The chosen operations on a target that cannot be opened; else a check, as it is unknown what it needs."""
        entry = self._states[number].entry
        chosen = self._chosen_by_user.get(number) or entry.operations or (Operation.CHECK,)
        operations = tuple(operation for operation in inspector.operations(entry.url) if operation in chosen)
        return inspector.applicable(Request(target=entry.url, operations=operations, options=entry.options))

    def _advised_options(self, number: int, operations: tuple[Operation, ...]) -> Options:
        """Options with the tables and indexes that the advice names for these operations."""
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
        """A request for this operation alone on the current target; None: there is no target."""
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
        if number in self._chosen_by_user:
            return self._chosen_by_user[number] & offered
        if state.entry.operations:
            return frozenset(state.entry.operations) & offered
        if self._is_elsewhere(number):
            return frozenset()  # which of them are needed is found out there
        request = self._needed_by(number)
        return frozenset() if request is None else frozenset(request.operations)

    def _offered_by(self, number: int) -> tuple[Operation, ...]:
        state = self._states.get(number)
        offers = state.info.operations if state and state.info else ()
        return tuple(offer.operation for offer in offers if not offer.by_server)

    def _is_elsewhere(self, number: int) -> bool:
        """Whether another host works on it, and finds out what it needs when a job begins."""
        state = self._states.get(number)
        return state is not None and state.info is not None and state.info.elsewhere is not None

    def _advised_check(self, number: int) -> CheckLevel | None:
        """How thorough a check is advised; None: no check is advised, or the user or the config decides."""
        if self._states[number].entry.operations or number in self._check_chosen:
            return None
        request = self._needed_by(number)
        return request.options.check if request is not None and Operation.CHECK in request.operations else None

    def _needed_by(self, number: int) -> Request | None:
        """All that the advice calls for on a target; without advice the default operations."""
        entry, advice, offered = self._states[number].entry, self._states[number].advice, self._offered_by(number)
        if advice is None:
            return None
        everything = Request(target=entry.url, operations=offered, options=entry.options)
        if self._is_elsewhere(number):
            request = inspector.unattended(if_needed(everything, entry.thresholds))
            return None if request is None else inspector.applicable(request)
        if not advice:
            usual = frozenset(inspector.default_operations(entry.url))
            return inspector.applicable(replace(everything, operations=tuple(o for o in offered if o in usual)))
        request = needed(everything, advice)
        return None if request is None else inspector.applicable(request)
