"""A decorator for immutable values: as a frozen dataclass, at a tenth of its import cost.

`dataclass` compiles each method of each class at import: that took a tenth of the console's start-up.
Here it compiles `__init__` alone, for the first value. The type checker ensures that no attribute is set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import get_annotations
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T], /) -> type[T]: ...


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...


def frozen(cls: type[Any] | None = None, /, *, kw_only: bool = False) -> Any:
    """As `@dataclass(frozen=True, slots=True)`. Two values are the same if all their fields are."""

    def made(body: type[Any]) -> type[Any]:
        body.__doc__ = body.__doc__ or body.__name__  # without one, dataclass makes it of the signature
        cls = dataclass(slots=True, kw_only=kw_only, init=False, eq=False, repr=False)(body)
        names = tuple(cls.__dataclass_fields__)
        fields_of = attrgetter(*(names or ["__class__"]))

        def first_init(self: Any, *args: Any, **kwargs: Any) -> None:
            for name in get_annotations(body).keys() & cls.__dataclass_fields__:  # the first dataclass removed them
                setattr(body, name, cls.__dataclass_fields__[name])
            cls.__init__ = dataclass(kw_only=kw_only, eq=False, repr=False)(body).__init__
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
        for name, method in methods.items():
            setattr(cls, name, method)
        return cls

    return made if cls is None else made(cls)
