"""A decorator for immutable values: as a frozen dataclass, at a tenth of its import cost.

`dataclass` compiles each method of each class at import: that took a tenth of the console's start-up.
Here it compiles `__init__` alone, for the first value. The type checker ensures that no attribute is set.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


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


def _comparison(compare: Callable[[Any, Any], bool], fields_of: Callable[[object], Any]) -> Any:
    def compared(self: object, other: object) -> bool:
        return compare(fields_of(self), fields_of(other)) if other.__class__ is self.__class__ else NotImplemented

    return compared


def _init_of(cls: type[Any]) -> Any:
    positional, by_name, statements = ["self"], ["*"], ["pass"]
    known: dict[str, Any] = {"_MISSING": MISSING}
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
    parameters = ", ".join([*positional, *by_name] if by_name[1:] else positional)
    exec(f"def __init__({parameters}):\n " + "\n ".join(statements), known)  # noqa: S102 - names of our own fields
    init = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init
