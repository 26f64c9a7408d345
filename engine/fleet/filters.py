"""Which of many targets are meant, in words: `engine:postgresql level:now size:>1GB checked:>30d @eu sales`. Pure.

Words with the same name are alternatives, except for sizes and checks, which must all hold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from operator import ge, gt, le, lt
from typing import Final, TypeVar

from engine.config.model import GROUP, TargetEntry
from engine.domain.engines import EngineName, engine_of_scheme, engine_specs
from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.humanize import parse_bytes, parse_duration
from engine.domain.spelling import closest
from engine.domain.steps import Micros
from engine.domain.surveys import FleetLevel, Survey
from engine.targets import engine_named

NEVER: Final = "never"
KNOWN: Final[Mapping[str, str]] = {
    "engine": "an engine, such as sqlite or postgresql",
    "level": ", ".join(FleetLevel),
    "label": "a label of the config file, such as PROD",
    "size": "a comparison with a size, such as >1GB or <500MB",
    "checked": f"a comparison with an age, such as >30d or <7d, or {NEVER}",
}
"""The names that words may have, and what may follow."""
_NAMED: Final = re.compile(r"([a-z]+):(?!//)(.*)", re.DOTALL)
_LIKE_NAMED: Final = re.compile(r"([A-Za-z]{2,})(:(?!//)|=)")
_COMPARISON: Final = re.compile(r"(>=|<=|>|<)\s*(.+)", re.DOTALL)
_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {">": gt, "<": lt, ">=": ge, "<=": le}
_Choice = TypeVar("_Choice", bound=StrEnum)


@frozen
class Comparison:
    operator: str
    value: float

    def holds(self, number: float) -> bool:
        return _OPERATORS[self.operator](number, self.value)


@frozen(kw_only=True)
class FleetFilter:
    """What a target must be; empty does not restrict."""

    texts: tuple[str, ...] = ()
    """All of these are parts of its name; case is ignored."""
    groups: frozenset[str] = frozenset()
    engines: frozenset[EngineName] = frozenset()
    levels: frozenset[FleetLevel] = frozenset()
    labels: frozenset[str] = frozenset()
    """In lower case."""
    sizes: tuple[Comparison, ...] = ()
    """In bytes."""
    check_ages: tuple[Comparison, ...] = ()
    """In seconds since the last clean check. A target that was never checked is older than any age."""

    @property
    def needs_survey(self) -> bool:
        """Whether it depends on more than how a target is named."""
        return bool(self.levels or self.sizes or self.check_ages)

    def matches(self, entry: TargetEntry, survey: Survey | None, now: Micros) -> bool:
        """Whether a target is meant. `survey`: None if it was never surveyed; then it has neither level nor size."""
        name, label = entry.name.casefold(), (entry.label or "").casefold()
        return (
            all(text.casefold() in name for text in self.texts)
            and (not self.groups or not self.groups.isdisjoint((*entry.groups, entry.name)))
            and (not self.labels or label in self.labels)
            and (not self.engines or engine_named(entry.url) in self.engines)
            and (not self.levels or (survey is not None and survey.level in self.levels))
            and all(_has_size(survey, size) for size in self.sizes)
            and all(age.holds(_check_age(survey, now)) for age in self.check_ages)
        )


def is_filter_word(word: str) -> bool:
    """Whether a word filters, also mistyped, rather than names a target: `level:now`, and not `sqlite:sales.db`."""
    named = _LIKE_NAMED.match(word)
    if named is None or named[1].lower() == "file" or engine_of_scheme(named[1].lower()) or os.path.lexists(word):
        return False
    return named[2] == ":" or named[1].lower() in KNOWN


def fleet_filter(words: Iterable[str]) -> FleetFilter:
    """The filter for these words. Raises UsageError, which names the wrong word and the known values."""
    texts: list[str] = []
    groups: set[str] = set()
    given: dict[str, list[str]] = {}
    for word in words:
        named = _NAMED.fullmatch(word)
        if named is None and (other := _LIKE_NAMED.match(word)) is not None:
            raise UsageError(word, "is no filter", f"write {other[1].lower()}:{word[other.end() :]}")
        if word.startswith(GROUP) and len(word) > 1:
            groups.add(word.removeprefix(GROUP))
        elif named is None:
            texts.append(word)
        elif named[1] in KNOWN:
            if not named[2]:
                raise UsageError(word, "needs a value", KNOWN[named[1]])
            given.setdefault(named[1], []).extend(named[2].split(","))
        else:
            close = closest(named[1], KNOWN)
            hint = f"did you mean {close}:?" if close else f"known: {', '.join(f'{name}:' for name in KNOWN)}"
            raise UsageError(word, f"{named[1]}: is nothing to look for", hint)
    return FleetFilter(
        texts=tuple(texts),
        groups=frozenset(groups),
        engines=frozenset(_engine(value) for value in given.get("engine", ())),
        levels=frozenset(_choice("level", value, FleetLevel) for value in given.get("level", ())),
        labels=frozenset(value.casefold() for value in given.get("label", ())),
        sizes=tuple(_comparison("size", value, parse_bytes) for value in given.get("size", ())),
        check_ages=tuple(_check_comparison(value) for value in given.get("checked", ())),
    )


def _engine(value: str) -> EngineName:
    known = engine_specs()
    if (name := EngineName(value.lower())) in known:
        return name
    close = closest(name, known)
    hint = f"{f'did you mean {close}? ' if close else ''}known: {', '.join(known)}"
    raise UsageError(f"engine:{value}", "is no engine", hint)


def _choice(name: str, value: str, choices: type[_Choice]) -> _Choice:
    try:
        return choices(value.lower())
    except ValueError:
        close = closest(value.lower(), choices)
        hint = f"did you mean {close}? known: {KNOWN[name]}" if close else f"known: {KNOWN[name]}"
        raise UsageError(f"{name}:{value}", f"is no {name}", hint) from None


def _check_comparison(value: str) -> Comparison:
    return Comparison(">=", float("inf")) if value.lower() == NEVER else _comparison("checked", value, parse_duration)


def _comparison(name: str, value: str, parse: Callable[[str], float]) -> Comparison:
    found = _COMPARISON.fullmatch(value)
    try:
        if found is not None:
            return Comparison(found[1], parse(found[2]))
    except ValueError:
        pass
    raise UsageError(f"{name}:{value}", "cannot be compared", f"give {KNOWN[name]}")


def _has_size(survey: Survey | None, comparison: Comparison) -> bool:
    return survey is not None and survey.size is not None and comparison.holds(survey.size)


def _check_age(survey: Survey | None, now: Micros) -> float:
    if survey is None or survey.checked_at is None:
        return float("inf")
    return (now - survey.checked_at) / 1e6
