"""The steps of an operation on a DuckDB file."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from datetime import date
from enum import Enum, auto
from pathlib import Path
from typing import Any

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.requests import Operation, Options
from engine.targets.database_files import file_size
from engine.targets.disk_space import Need, problems_now
from engine.targets.duckdb import files
from engine.targets.duckdb.connection import quote
from engine.targets.duckdb.contents import HASHES, Contents
from engine.targets.duckdb.operation_specs import SPECS
from engine.targets.plans import OperationPlan, PlannedStep, with_free_space, without_done


class Method(Enum):
    COMMAND = auto()
    CHECK = auto()
    COMPACT = auto()
    BACKUP = auto()


@frozen(kw_only=True)
class DuckDbStep(PlannedStep):
    """`destination`: the new file of a backup."""

    method: Method
    destination: str = ""


def plan(
    path: str, contents: Contents, operation: Operation, options: Options, *, log: int, obstacle: str
) -> OperationPlan:
    """`log`: bytes of the write-ahead log before the file was opened. `obstacle`: what keeps DuckDB from copying all of
    it, as text. Raises UsageError."""
    match operation:
        case Operation.CHECK:
            return _check(contents, options)
        case Operation.COMPACT:
            command = f"COPY FROM DATABASE {quote(contents.name)} TO a compact copy"
            step = _step(operation, Method.COMPACT, "main", command, "a compact copy in place of the file")
            needed = contents.used_blocks * contents.block_size + log
            return _copying(step, str(Path(path).parent), needed, options, refused=obstacle)
        case Operation.BACKUP:
            destination = backup_name(path, options.backup_to)
            command, reason = f"copy {path} to {destination}", f"a copy, as {destination}"
            step = _step(operation, Method.BACKUP, "main", command, reason, destination=destination)
            taken = f"there is a file {destination} already: give another --backup-to, or move it away"
            refused = taken if os.path.lexists(destination) else ""
            return _copying(step, str(Path(destination).parent), file_size(path) + log, options, refused=refused)
        case Operation.CHECKPOINT if not (log or contents.free_blocks):
            return OperationPlan(operation=operation, not_needed="the write-ahead log is empty")
    what = "write the log back" if operation is Operation.CHECKPOINT else "new statistics of all tables"
    step = _step(operation, Method.COMMAND, "main", operation.value.upper(), what)
    return OperationPlan(operation=operation, steps=(step,))


def require(contents: Contents, names: Collection[str]) -> None:
    """Raises UsageError for a name that is no table."""
    if unknown := [name for name in names if name not in {table.shown for table in contents.tables}]:
        raise UsageError(unknown[0], "there is no such table", "write SCHEMA.TABLE where the schema is not main")


def _step(operation: Operation, method: Method, name: str, command: str, reason: str, **more: Any) -> DuckDbStep:
    spec = SPECS[operation]
    return DuckDbStep(
        object=name,
        command=command,
        reason=reason,
        method=method,
        lock=spec.lock,
        after_cancel=spec.after_cancel,
        **more,
    )


def _check(contents: Contents, options: Options) -> OperationPlan:
    operation, wanted = Operation.CHECK, options.objects
    require(contents, wanted)
    steps = tuple(
        _step(operation, Method.CHECK, table.shown, HASHES.format(table=table.quoted(contents.name)), "reads all of it")
        for table in contents.tables
        if not wanted or table.shown in wanted
    )
    if not steps:
        return OperationPlan(operation=operation, not_needed="there is no table to read")
    return without_done(OperationPlan(operation=operation, steps=steps), options.done_by(operation))


def _copying(step: DuckDbStep, directory: str, needed: int, options: Options, *, refused: str) -> OperationPlan:
    """The plan of a copy in a directory, of so many bytes. `refused`: why it is, as far as that is known."""
    operation = Operation.COMPACT if step.method is Method.COMPACT else Operation.BACKUP
    needs = (Need(directory, needed, "the copy"),)
    if refused:
        pass
    elif not Path(directory).is_dir():
        refused = f"there is no directory {directory}: make it, or give another --backup-to"
    elif problem := files.problem_with(step.destination):
        refused = f"the path {step.destination} {problem}: give another --backup-to"
    elif place := files.others_can_change(directory):
        refused = f"others can change {place}, and so replace the copy: let only its owner write there"
    elif not options.force and (problems := problems_now(needs)):
        refused = f"{listed(problems)}. Make room, or use --force"
    if refused:
        return OperationPlan(operation=operation, refused=refused)
    return OperationPlan(operation=operation, steps=(with_free_space(replace(step, disk_needed=needed, needs=needs)),))


def backup_name(path: str, asked: str | None) -> str:
    """The requested file, or a new name in the requested directory or beside the database."""
    if asked is not None and not Path(asked).is_dir():
        return asked
    database, directory = Path(path), Path(asked) if asked is not None else Path(path).parent
    stem, number = f"{database.stem}.backup-{date.today().isoformat()}", 1
    while os.path.lexists(place := directory / f"{stem}{f'.{number}' if number > 1 else ''}{database.suffix}"):
        number += 1
    return str(place)
