"""What operations did: a record for each kind. The names of its fields are those in the store and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, field, fields
from functools import cache
from types import UnionType
from typing import Any, Final, Self, TypeVar, get_args, get_origin, get_type_hints

from engine.domain.frozen import frozen
from engine.domain.requests import CheckLevel
from engine.domain.steps import Fact, Facts

T = TypeVar("T")
_PLAIN: Final = frozenset({bool, int, float, str, type(None)})


def omitted_if(default: T) -> T:
    """A field that is kept only where its value differs from its default."""
    return field(default=default, metadata={"is_omitted": True})


class Effect:
    """A record that the store keeps among the facts of an operation or a step, by the names of its fields."""

    __slots__ = ()

    @classmethod
    def of(cls, facts: Facts | None) -> Self | None:
        """The record among these facts; None if a field without default is missing.

        The store may be damaged: a value of another type than its field has counts as missing.
        """
        types, required = _declared(cls)  # type: ignore[arg-type]
        typed = {name: _typed(types[name], facts[name]) for name in types.keys() & facts} if facts else {}
        known = {name: value for name, value in typed.items() if value is not NotImplemented}
        return cls(**known) if required <= known.keys() else None

    def facts(self) -> dict[str, Fact]:
        """The facts to keep."""
        values = {declared: getattr(self, declared.name) for declared in fields(self)}  # type: ignore[arg-type]
        return {
            declared.name: value
            for declared, value in values.items()
            if value != declared.default or not declared.metadata
        }


@cache
def _declared(record: type[Any]) -> tuple[Mapping[str, Any], frozenset[str]]:
    """The types of its fields by their names, and the names of those without default."""
    return get_type_hints(record), frozenset(known.name for known in fields(record) if known.default is MISSING)


def _typed(declared: Any, value: Fact) -> Any:
    """The value as one of this type, without items of another; NotImplemented if it is of another itself."""
    for kind in get_args(declared) if isinstance(declared, UnionType) else (declared,):
        if get_origin(kind) is tuple:
            if isinstance(value, list | tuple):
                items = (_typed(get_args(kind)[0], item) for item in value)
                return tuple(item for item in items if item is not NotImplemented)
        elif isinstance(value, kind) and isinstance(value, bool) is (kind is bool):
            return value
        elif kind is float and type(value) is int:
            return float(value)
        elif kind not in _PLAIN and value in [*kind]:
            return kind(value)
    return NotImplemented


@frozen(kw_only=True)
class CheckResult(Effect):
    """What a check found."""

    findings: int
    level: CheckLevel = CheckLevel.QUICK
    complete: bool = False
    """Whether it checked everything that it was to check: pages and indexes, not foreign keys."""
    damage: str | None = None
    """The first finding that no operation repairs."""
    broken_rule: str | None = None
    """The first finding about the data: a row that breaks a rule, in a sound file."""
    remedy: str = ""
    """What a person does about the findings; "" for nothing."""
    damaged_indexes: tuple[str, ...] = ()
    """Those that REINDEX can rebuild."""
    index_tables: tuple[str, ...] = omitted_if(())
    """The tables of `damaged_indexes` of a server, in their order."""
    damaged_tables: tuple[str, ...] | None = omitted_if(None)
    """None where the engine does not check each table by itself."""
    suspected_tables: tuple[str, ...] = omitted_if(())
    """The tables that it left out, as a server went down under them."""
    damaged_pages: tuple[int, ...] = omitted_if(())
    """The numbers of the pages that its findings name, `MOST_DAMAGED_PAGES` at most."""
    orphans: int | None = omitted_if(None)
    """Rows whose parent row is missing, where they are counted."""
    only_indexes: bool = omitted_if(False)
    """Whether it could not look at tables."""

    @property
    def damaged(self) -> tuple[str, ...]:
        """The indexes and tables that it found damaged."""
        return (*self.damaged_indexes, *(self.damaged_tables or ()))

    @property
    def met_damage(self) -> bool:
        return bool(self.damage or self.damaged)

    @property
    def found_no_damage(self) -> bool:
        """Whether it looked at everything, and found nothing but rows that break a rule."""
        return self.complete and self.damage is None and not self.damaged_indexes

    @property
    def is_full(self) -> bool:
        """Whether it looked at all that a check can see."""
        return self.level is CheckLevel.FULL and self.complete and not self.suspected_tables
