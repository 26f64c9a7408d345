"""A decorator for immutable values: as a frozen dataclass, at a tenth of its cost at import.

`dataclass` compiles each method of each class at import: that took a tenth of the console's start-up.
Here `__init__` alone is compiled, for the first value. It makes a value of another class, which has the same slots and
may be set, and then changes its class: `object.__setattr__` for each field takes two to five times as long.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import Any, Final, NoReturn, TypeVar, dataclass_transform, overload

T = TypeVar("T")

_set_class: Final[Any] = object.__dict__["__class__"].__set__


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T], /) -> type[T]: ...


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(*, kw_only: bool = False, order: bool = False) -> Callable[[type[T]], type[T]]: ...


def frozen(cls: type[Any] | None = None, /, *, kw_only: bool = False, order: bool = False) -> Any:
    """Works as `@dataclass(frozen=True, slots=True)`. Two values are the same if all their fields are.

    `order`: they are sorted by their fields, the first one first.
    """

    def made(body: type[Any]) -> type[Any]:
        body.__doc__ = body.__doc__ or body.__name__  # without one, dataclass makes it of the signature
        cls = dataclass(slots=True, kw_only=kw_only, init=False, eq=False, repr=False)(body)
        names = tuple(cls.__dataclass_fields__)
        fields_of = operator.attrgetter(*(names or ["__class__"]))

        def first_init(self: Any, *args: Any, **kwargs: Any) -> None:
            cls.__init__ = _init_of(cls)
            cls.__init__(self, *args, **kwargs)

        def eq(self: object, other: object) -> bool:
            return fields_of(self) == fields_of(other) if other.__class__ is self.__class__ else NotImplemented

        def repr_(self: object) -> str:
            return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

        methods = {
            "__init__": first_init,
            "__setattr__": _refuse,
            "__delattr__": _refuse,
            "__setstate__": _set_state,
            "__eq__": eq,
            "__hash__": lambda self: hash(fields_of(self)),
            "__repr__": repr_,
        }
        if order:
            methods |= {
                f"__{name}__": _comparison(getattr(operator, name), fields_of) for name in ("lt", "le", "gt", "ge")
            }
        for name, method in methods.items():
            setattr(cls, name, method)
        return cls

    return made if cls is None else made(cls)


def _refuse(self: object, name: str, *_: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot change {name!r} of {type(self).__qualname__}")


def _set_state(self: object, state: tuple[None, dict[str, Any]]) -> None:
    """For a copy: the state as `object.__getstate__` returns it where all attributes are slots."""
    for name, value in state[1].items():
        object.__setattr__(self, name, value)


def _comparison(compare: Callable[[Any, Any], bool], fields_of: Callable[[object], Any]) -> Any:
    def compared(self: object, other: object) -> bool:
        return compare(fields_of(self), fields_of(other)) if other.__class__ is self.__class__ else NotImplemented

    return compared


def _init_of(cls: type[Any]) -> Any:
    unlocked = {"__slots__": cls.__dict__["__slots__"], "__setattr__": object.__setattr__}
    known = {
        "_MISSING": MISSING,
        "_set_class": _set_class,
        "_cls": cls,
        "_Unlocked": type(cls.__name__, cls.__bases__, unlocked),
    }
    positional, by_name, statements = ["self"], ["*"], ["_set_class(self, _Unlocked)"]
    for one in fields(cls):
        name, default, value = one.name, "", one.name
        if one.default_factory is not MISSING:
            known[f"_new_{name}"] = one.default_factory
            default, value = "=_MISSING", f"_new_{name}() if {name} is _MISSING else {name}"
        elif one.default is not MISSING:
            known[f"_default_{name}"] = one.default
            default = f"=_default_{name}"
        (by_name if one.kw_only else positional).append(f"{name}{default}")
        statements.append(f"self.{name} = {value}")
    statements.append("_set_class(self, _cls)")
    parameters = ", ".join([*positional, *by_name] if by_name[1:] else positional)
    exec(f"def __init__({parameters}):\n " + "\n ".join(statements), known)  # noqa: S102 - names of our own fields
    init = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init
