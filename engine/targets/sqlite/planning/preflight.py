"""Warnings about an operation, and refusals because of the schema or the settings, as text: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine.domain.frozen import frozen
from engine.domain.humanize import by_reason, listed

if TYPE_CHECKING:
    from engine.targets.sqlite.reading.renumbering import Renumbering, RowidUser


@frozen
class CopyObstacle:
    """Why VACUUM must not copy a database, and who can change that."""

    why: str
    remedy: str

    @property
    def refusal(self) -> str:
        return f"{self.why}. {self.remedy}"


_BY_ITS_APPLICATION: Final = "Only the application can maintain it"


def lossy_schema(names: Sequence[str]) -> CopyObstacle | None:
    """`names`: schema entries whose text VACUUM does not copy."""
    if not names:
        return None
    return CopyObstacle(
        f"VACUUM would silently drop {listed([*map(repr, names)])}: the schema entry does not start with CREATE",
        "Recreate it with an ordinary CREATE statement first",
    )


def unsafe_full_text(name: str, table: str) -> str:
    """`table`: see `catalog.unsafe_table`."""
    return (
        f"a write to {table}, which holds the full-text index {name}, would run a trigger or a virtual table of this"
        " file, and that can change any table. Find out who made it, and drop it first"
    )


def no_text(names: Sequence[str]) -> str:
    """`names`: tables and indexes whose names are no valid text."""
    return f"the name of {listed(names)} is not valid UTF-8, so SQL cannot name it"


def missing_collations(found: Iterable[tuple[str, str]]) -> CopyObstacle | None:
    """`found`: indexes, each with a collation that SQLite does not know here."""
    collations = by_reason(found)
    if not collations:
        return None
    details = "; ".join(f"{name!r} of {listed(indexes)}" for name, indexes in collations.items())
    return CopyObstacle(f"it needs a collation that only its application has: {details}", _BY_ITS_APPLICATION)


def missing_code(found: Iterable[tuple[str, str]]) -> CopyObstacle | None:
    """`found`: tables and indexes, each with the code that is missing here."""
    details = "; ".join(f"{why} (for {listed(names)})" for why, names in by_reason(found).items())
    why = f"it needs what only its application has: {details}"
    return CopyObstacle(why, _BY_ITS_APPLICATION) if details else None


def certain_to_fail(problems: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """`problems`: tables or indexes, each with why SQLite cannot work on it."""
    return tuple(f"certain to fail for {listed(names)}: {problem}" for problem, names in by_reason(problems).items())


def left_out(problems: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """`problems`: tables, each with the missing code that its statistics need."""
    return tuple(
        f"{listed(names)} cannot be analyzed here: {problem}, which only its application has"
        for problem, names in by_reason(problems).items()
    )


def rowids_in_use(found: Renumbering) -> str | None:
    """Why VACUUM would break searches and views, and what to do."""
    if not found.users:
        return None
    tables = listed(list(dict.fromkeys(user.table for user in found.users)))
    rebuilt = listed(sorted({user.name for user in found.users if user.rebuilt}))
    left = listed(sorted({user.name for user in found.users if not user.rebuilt}))
    after = [f"{rebuilt} is then rebuilt"] if rebuilt else []
    after += [f"{left} then stays wrong until you repair it"] if left else []
    return (
        f"{found.description}: {_names(found.users)} would point to wrong rows. "
        f"Give {tables} an INTEGER PRIMARY KEY, or use --force: {', and '.join(after)}"
    )


def rowids_in_use_of_copy(found: Renumbering) -> str | None:
    """Why searches and views of a backup by VACUUM would be broken."""
    return f"{found.description}: {_names(found.users)} would point to wrong rows" if found.users else None


def _names(users: Sequence[RowidUser]) -> str:
    return listed(list(dict.fromkeys(user.name for user in users)))


def rowids_changed(found: Renumbering) -> tuple[str, ...]:
    """Warnings where VACUUM changes rowids."""
    warnings: list[str] = []
    stay_wrong = tuple(user for user in found.users if not user.rebuilt)
    if stay_wrong:
        description = replace(found, users=stay_wrong).description
        warnings.append(f"{description}: {_names(stay_wrong)} will point to wrong rows until you repair it")
    used = {user.table for user in found.users}
    if unused := [table for table in found.tables if table not in used]:
        has = "has" if len(unused) == 1 else "have"
        warnings.append(
            f"VACUUM renumbers the rowids of {listed(unused)}, which {has} no INTEGER PRIMARY KEY: "
            "rowids that are stored elsewhere will point to wrong rows"
        )
    return tuple(warnings)


def cannot_be_rebuilt(problems: Iterable[tuple[str, str]]) -> str | None:
    """`problems`: full-text indexes that VACUUM would break, each with what keeps it from being rebuilt."""
    details = "; ".join(
        f"VACUUM renumbers rowids that the full-text index {name} uses, and {name} cannot be rebuilt here: {problem}"
        for name, problem in problems
    )
    return f"{details}. {_BY_ITS_APPLICATION}" if details else None
