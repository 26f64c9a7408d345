"""Obstacles to an operation: problems of its plan, and conditions that keep it from doing its work."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from engine.domain.frozen import frozen
from engine.domain.requests import CheckLevel, Operation
from engine.targets.sqlite.connection.names import folded, quote
from engine.targets.sqlite.planning import preflight
from engine.targets.sqlite.planning.libraries import cannot_be_analyzed, parts_to_check
from engine.targets.sqlite.planning.preflight import CopyObstacle
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.copied_schema import cannot_be_made, may_call_code
from engine.targets.sqlite.reading.obstacles import Obstacles
from engine.targets.sqlite.reading.reader import Reader
from engine.targets.sqlite.reading.renumbering import Renumbering
from engine.targets.sqlite.reading.virtual import (
    FULL_TEXT,
    MOST_VIEWS,
    content_rowid,
    content_table,
    made_with,
    views_in,
)
from engine.targets.sqlite.system.replicators import described, replicators

REWRITING: Final = frozenset({Operation.VACUUM, Operation.CHECKPOINT})
"""Operations that write the whole database, or its whole log, which replicators would send."""
LOOKING_FOR_DUPLICATES: Final = 2.0
"""Seconds for all damaged indexes."""
_STATISTICS: Final = frozenset({Operation.ANALYZE, Operation.OPTIMIZE})


async def find_obstacles(
    reader: Reader, needed: Collection[Operation], *, damaged: Sequence[str], full_text: Iterable[str]
) -> Obstacles:
    """The conditions that keep these operations from doing their work. `damaged`: the indexes to rebuild;
    `full_text`: those to merge. Raises TargetError."""
    tables = await reader.tables_uncounted() if {*needed} & {Operation.CHECK, *_STATISTICS} else []
    vacuum = await against_vacuum(reader, force=False) if Operation.VACUUM in needed else None
    parts = await parts_to_check(reader, tables, CheckLevel.QUICK) if Operation.CHECK in needed else []
    rewrites = not REWRITING.isdisjoint(needed)
    full_text = [*full_text]
    unsafe = await reader.unsafe_full_text(full_text) if full_text else {}
    return Obstacles(
        vacuum=(vacuum and vacuum.refused) or "",
        replicated=described(await asyncio.to_thread(replicators, reader.path)) if rewrites else "",
        check="" if any(part.level for part in parts) else "; ".join(part.warning for part in parts if part.warning),
        analyze=await cannot_be_analyzed(reader, tables) if {*needed} & _STATISTICS else {},
        reindex={
            **await _duplicates(reader, damaged),
            **await _problems(reader, {name: f"REINDEX main.{quote(name)}" for name in damaged}),
        },
        merge={
            **await _problems(reader, {name: f"SELECT 1 FROM main.{quote(name)}" for name in full_text}),
            **{name: preflight.unsafe_full_text(name, table) for name, table in unsafe.items()},
        },
    )


async def _problems(reader: Reader, commands: Mapping[str, str]) -> dict[str, str]:
    answers = [(name, await reader.problem_with(command)) for name, command in commands.items()]
    return {name: problem for name, problem in answers if problem is not None}


async def _duplicates(reader: Reader, damaged: Sequence[str]) -> dict[str, str]:
    """The damaged indexes whose rows share a key that must be unique, as far as that is known in time."""
    tables = await reader.tables_uncounted() if damaged else []
    names, until = frozenset(damaged), time.monotonic() + LOOKING_FOR_DUPLICATES
    unique = [index for table in tables for index in table.indexes if index.name in names and index.unique]
    found = {}
    for index in unique:
        if (left := until - time.monotonic()) <= 0:
            break
        columns = await reader.rows(catalog.key_of(index.name))
        if index.partial or any(name is None for name, _ in columns):
            continue  # its WHERE, or an expression, is only in its SQL
        keys = ", ".join(f"{quote(name)} COLLATE {quote(collation)}" for name, collation in columns)
        known = " AND ".join(f"{quote(name)} IS NOT NULL" for name, _ in columns)
        same = f"SELECT 1 FROM main.{quote(index.table)} NOT INDEXED WHERE {known} GROUP BY {keys}"
        if await reader.rows_in_time(f"{same} HAVING count(*) > 1 LIMIT 1", left):
            found[index.name] = "rows share a key that must be unique. Remove the duplicates first"
    return found


@frozen(kw_only=True)
class AgainstVacuum:
    """Why VACUUM is refused, if it is; else which full-text indexes are rebuilt after it."""

    refused: str | None = None
    rebuild: Sequence[str] = ()
    renumbering: Renumbering = Renumbering()


async def against_vacuum(reader: Reader, *, force: bool) -> AgainstVacuum:
    if (obstacle := await cannot_be_copied(reader)) is not None:
        return AgainstVacuum(refused=obstacle.refusal)
    renumbering = await reader.renumbering()
    problems = await _rebuild_problems(reader, renumbering.built_on)
    broken = {user.name for user in renumbering.users}
    refused = preflight.cannot_be_rebuilt([(name, why) for name, why in problems.items() if name in broken])
    if refused is None and not force:
        refused = preflight.rowids_in_use(renumbering)
    if refused is not None:
        return AgainstVacuum(refused=refused)
    # After a VACUUM whose process died, the rowids do not change any more, and the indexes are still wrong.
    rebuild = [name for name in renumbering.built_on if name not in problems] if force else []
    return AgainstVacuum(rebuild=rebuild, renumbering=renumbering)


async def cannot_be_copied(reader: Reader) -> CopyObstacle | None:
    """Why the database must not be copied by VACUUM, in place or into a file."""
    lost, collations, schema = await reader.read(_copied)
    return (
        preflight.lossy_schema([name for (name,) in lost])
        or await _missing_collations(reader, collations)
        or await _missing_functions(schema)
    )


def _copied(connection: sqlite3.Connection) -> tuple[list[Any], list[Any], list[Any]]:
    """What a copy would lose, the collations of its indexes, and its schema; that is left out if it calls no code."""
    queries = query("lost_by_vacuum"), query("index_collations"), query("copied_schema")
    lost, collations, schema = (connection.execute(query).fetchall() for query in queries)
    return lost, collations, schema if may_call_code(schema) else []


async def _missing_collations(reader: Reader, used: Sequence[tuple[str, str]]) -> CopyObstacle | None:
    """Why the indexes of a copy could not be filled here."""
    missing = {
        collation
        for collation in {collation for _, collation in used}
        if await reader.problem_with(f"SELECT '' = '' COLLATE {quote(collation)}") is not None
    }
    return preflight.missing_collations([(index, collation) for index, collation in used if collation in missing])


async def _missing_functions(schema: Sequence[tuple[str, str, str]]) -> CopyObstacle | None:
    """Why tables or indexes of a copy could not be made here."""
    if not schema:
        return None
    return preflight.missing_code(await asyncio.to_thread(cannot_be_made, schema))


async def _rebuild_problems(reader: Reader, names: Sequence[str]) -> dict[str, str]:
    """What keeps full-text indexes from being rebuilt, by their names: each is asked for as a rebuild would."""
    virtual = made_with(FULL_TEXT, await reader.rows(query("virtual_tables"))) if names else []
    problems = [(name, await _rebuild_problem(reader, name, sql)) for name, sql in virtual if name in names]
    return {name: problem for name, problem in problems if problem is not None}


async def _rebuild_problem(reader: Reader, name: str, sql: str) -> str | None:
    if unsafe := await reader.unsafe_full_text([name]):
        return preflight.unsafe_full_text(name, unsafe[name])
    problem = await reader.problem_with(f"SELECT * FROM main.{quote(name)}")
    if problem is not None:
        return problem
    views = {folded(view): text for view, text in await reader.rows(query("views")) if view and text}
    if views_in(content_table(sql) or "", views) >= MOST_VIEWS:
        return f"the view that it takes its text from stands on {MOST_VIEWS:,} views or more"
    columns = [name for (name,) in await reader.rows(catalog.columns_of(name))]
    wanted = ", ".join(f"T.{quote(column)}" for column in (content_rowid(sql), *columns))
    return await reader.problem_with(f"SELECT {wanted} FROM main.{quote(content_table(sql) or '')} AS T")
