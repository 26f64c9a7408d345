"""Which steps a check takes: pure functions of what the database says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import counted
from engine.domain.requests import CheckLevel, Operation
from engine.targets.plans import longest_first
from engine.targets.sqlite.connection.names import literal
from engine.targets.sqlite.planning import costs, grouping
from engine.targets.sqlite.planning.costs import Cost
from engine.targets.sqlite.planning.steps import Method, SqliteStep, step_of
from engine.targets.sqlite.reading.catalog import Summary, Table, Texts

MOST_SECONDS: Final = 1.0
"""Seconds of several small tables that are checked in one step."""
MOST_FINDING: Final = 0.1
"""How much longer a check may take table by table: SQLite looks at all of the schema for each."""


IGNORE_CHECKS: Final = "PRAGMA ignore_check_constraints = 1"
WITH_CHECKS: Final = "PRAGMA ignore_check_constraints = 0"


@frozen(kw_only=True)
class Part:
    """What of a database can be checked where code is missing: a table, or all of it. `level` None: nothing."""

    table: Table | None
    level: CheckLevel | None
    constraints: bool = True
    """Whether CHECK constraints can be evaluated."""
    problem: str = ""
    """Why it is not checked in full."""

    def is_within(self, whole: Part) -> bool:
        """Whether a quick check of everything looks at all of it."""
        is_quick = self.level is CheckLevel.QUICK or (self.table is not None and not self.table.indexes)
        return is_quick and (whole.constraints or not self.constraints)

    @property
    def warning(self) -> str:
        """The parts that are not checked, and why; "" if all are."""
        if self.table is None or not self.problem:
            return ""
        name, why = self.table.name, f"{self.problem}, which only its application has"
        if self.level is None:
            return f"{name} is not checked: {why}"
        left = [] if self.constraints else ["CHECK constraints are not evaluated"]
        left += ["indexes are not compared with the table"] if self.level is CheckLevel.QUICK else []
        return f"{name}: {' and '.join(left)}: {why}" if left else ""


def steps_of_parts(
    parts: Sequence[Part], summary: Summary, *, foreign_keys: bool, keys: Mapping[str, int]
) -> list[SqliteStep]:
    """The checks of what can be checked, and of foreign keys."""
    step = _step(summary)
    tables = [part.table for part in parts if part.table is not None]
    whole = next((part for part in parts if part.table is None), None)
    steps = []
    for part in parts:
        if part.level is None or (whole and whole is not part and part.is_within(whole)):
            continue
        check = _check_of(part.table, part.level, step)
        if part.table is None:
            check = _costing(check, _cost_of(part.level)(tables))
        steps.append(replace(check, settings=(WITH_CHECKS if part.constraints else IGNORE_CHECKS,)))
    return [*longest_first(steps), *([_foreign_keys(step, tables, keys)] if foreign_keys else [])]


def check_steps(
    tables: Sequence[Table],
    summary: Summary,
    level: CheckLevel,
    *,
    named: bool,
    in_parts: bool,
    keys: Mapping[str, int] = MappingProxyType({}),
    texts: Sequence[Texts] = (),
) -> list[SqliteStep]:
    """`named`: only of these tables. `in_parts`: table by table, so that several can be checked at once. `keys`: how
    many foreign keys a table has, by its name. `texts`: of full-text indexes."""
    step = _step(summary)
    foreign_keys = _foreign_keys(step, tables, keys)
    if named:
        return longest_first([_check_of(table, level, step) for table in tables])
    if level is CheckLevel.QUICK:
        return [_costing(step, costs.quick_check(tables, summary.pages, texts)), foreign_keys]
    indexed = [table for table in tables if table.indexes]
    whole = _costing(step, costs.full_check(tables, summary.pages, texts))
    in_parts = in_parts and _is_worth_parting(whole, len(indexed), summary)
    if not in_parts or not indexed or any(reads_as_number(table.name) for table in indexed):
        reason = "checks everything: pages, types, constraints, and every index against its table"
        return [replace(whole, command="PRAGMA main.integrity_check", reason=reason), foreign_keys]
    cells = sum(map(_cells, tables))
    by_table = [
        grouping.Part(
            table.name,
            check_command(level, table.name),
            _checked(table, level),
            costs.full_check([table], _pages_of(table, cells, summary)),
        )
        for table in indexed
    ]
    size = summary.used // max(summary.tables + summary.indexes, 1)
    usual = costs.full_check((), size // summary.page_size).seconds or 0.0
    alone, groups = grouping.divided(by_table, usual=usual, most=MOST_SECONDS)
    parts = [part.step(step) for part in alone]
    for group in groups:
        why = "small tables, one after the other"
        together = grouping.together(group, "table", why, usual=usual, like=step)
        parts.append(replace(together, method=Method.CHECK, after_cancel=step.after_cancel))
    return [*longest_first(parts), _costing(step, costs.quick_check(tables, summary.pages, texts)), foreign_keys]


def _is_worth_parting(whole: SqliteStep, parts: int, summary: Summary) -> bool:
    """Whether it takes next to nothing, beside the check itself, to find one table after the other."""
    finding = costs.finding(parts, summary.tables + summary.indexes)
    return finding <= MOST_FINDING * max(whole.estimate or 0.0, summary.pages * costs.A_PAGE)


def _step(summary: Summary) -> SqliteStep:
    """A quick check of the whole; any other is the same with a few differences."""
    reason = "checks the structure of every page, types and constraints"
    return step_of(Operation.CHECK, summary, Method.CHECK, "PRAGMA main.quick_check", reason)


def check_command(level: CheckLevel, table: str | None = None) -> str:
    """The check of a table, or of the whole database."""
    check = "quick_check" if level is CheckLevel.QUICK else "integrity_check"
    return f"PRAGMA main.{check}" + ("" if table is None else f"({literal(table)})")


def _cost_of(level: CheckLevel) -> Callable[[Sequence[Table]], Cost]:
    return costs.quick_check if level is CheckLevel.QUICK else costs.full_check


def _check_of(table: Table | None, level: CheckLevel, step: SqliteStep) -> SqliteStep:
    """`step`, as the check of a table or of the whole database."""
    if table is None:
        return replace(step, command=check_command(level))
    return replace(
        _costing(step, _cost_of(level)([table])),
        object=table.name,
        command=check_command(level, table.name),
        reason=_checked(table, level),
    )


def _foreign_keys(step: SqliteStep, tables: Sequence[Table], keys: Mapping[str, int]) -> SqliteStep:
    return replace(
        _costing(step, costs.foreign_keys(tables, keys) if keys else Cost(seconds=costs.SHORTEST)),
        method=Method.FOREIGN_KEYS,
        command="PRAGMA main.foreign_key_check",
        reason="finds rows whose parent row is missing",
    )


def _costing(step: SqliteStep, cost: Cost) -> SqliteStep:
    return replace(step, estimate=cost.seconds, course=cost.course)


def _pages_of(table: Table, cells: int, summary: Summary) -> int:
    """How many pages a table has with its indexes, about: its share of all cells."""
    return round((summary.pages - summary.free_pages) * _cells(table) / cells) if cells else 0


def _cells(table: Table) -> int:
    return (table.rows or 0) * (table.columns + sum(index.columns for index in table.indexes))


def reads_as_number(name: str) -> bool:
    """Whether a check would take the name of a table for a number of findings."""
    return name.strip().lstrip("+-").isdigit()


def _checked(table: Table, level: CheckLevel) -> str:
    if level is CheckLevel.QUICK:
        return "checks its pages, types and constraints"
    return f"compares {counted(len(table.indexes), 'index')} with the table, entry by entry"
