"""Modules that are imported at their first use, because most starts do without them.

For type checkers the module is imported below `TYPE_CHECKING`; at run time `lazy` stands for it.
"""

from __future__ import annotations

import sys
from typing import Any


class _LazyModule:
    def __init__(self, name: str, why: str) -> None:
        self._name, self._why = name, why

    def __getattr__(self, attribute: str) -> Any:
        __import__(self._name)  # unlike import_module, seen by -X importtime
        return getattr(sys.modules[self._name], attribute)

    def __repr__(self) -> str:
        return f"<module {self._name}, imported at its first use: {self._why}>"


def lazy(name: str, why: str) -> Any:
    """The module `name`. `why`: why a start does without it."""
    return _LazyModule(name, why)
