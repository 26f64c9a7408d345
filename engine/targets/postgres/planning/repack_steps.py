"""Rewrites of tables that are in use: the steps, and why they are refused. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from engine.domain.humanize import by_reason, counted, listed, size
from engine.domain.requests import Operation
from engine.targets.plans import longest_first
from engine.targets.postgres.planning.costs import weight
from engine.targets.postgres.planning.operation_specs import SPECS
from engine.targets.postgres.planning.operation_steps import PAGE
from engine.targets.postgres.planning.steps import Method, Model, PgStep, table_subject
from engine.targets.postgres.reading.relations import Table
from engine.targets.postgres.reading.repack import Obstacle, Surroundings

SINCE: Final = 190_000
MUCH_LAG: Final = 16 * 1024**2
"""Bytes that a replica has still to apply: as many are usual while a server writes."""
_WORDS: Final = {
    Obstacle.MATERIALIZED_VIEW: "a materialized view: use REFRESH MATERIALIZED VIEW CONCURRENTLY",
    Obstacle.NOT_LOGGED: "it is unlogged: vacuum-full rewrites it",
    Obstacle.NOT_HEAP: "its access method is not heap",
    Obstacle.CATALOG_OF_USERS: "it has the option user_catalog_table",
    Obstacle.IDENTITY_FULL: "its replica identity is FULL: choose an index with ALTER TABLE ... REPLICA IDENTITY",
    Obstacle.IDENTITY_NOTHING: "its replica identity is NOTHING: choose an index with ALTER TABLE ... REPLICA IDENTITY",
    Obstacle.DEFERRABLE_KEY: "its primary key is deferrable: choose an index with ALTER TABLE ... REPLICA IDENTITY",
    Obstacle.NO_KEY: "it has no primary key, and no unique index as its replica identity",
    Obstacle.NO_KEY_OF_CLIENT: "it has no primary key, and no unique index on columns that are NOT NULL",
    Obstacle.INVALID_INDEX: "it has an invalid index: drop or rebuild that first",
}


def is_unreleased(version_text: str) -> bool:
    """Whether the server is a beta or a release candidate, such as `19rc1 (Debian 19~rc1-1)`."""
    return re.match(r"\d+(devel|alpha|beta|rc)", version_text) is not None


def unable(version: int, version_text: str, replication_state: Surroundings) -> str:
    """Why the server cannot rewrite a table that is in use, and what to do; "" if it can."""
    if version >= SINCE and is_unreleased(version_text):
        number = version_text.partition(" ")[0]
        return f"REPACK (CONCURRENTLY) of {number} can lose changes to long values: upgrade to a released version first"
    if version >= SINCE:
        no_slots = "max_repack_replication_slots is 0, so no table can be rewritten while it is in use: raise it"
        return no_slots if replication_state.most_at_once == 0 else ""
    if replication_state.extension is not None:
        return ""
    extension = (
        "run CREATE EXTENSION pg_repack in this database as a superuser"
        if replication_state.has_extension_files
        else "install pg_repack"
    )
    alternatives = f"{extension}, or use vacuum-full, which blocks all access"
    return f"PostgreSQL {version // 10_000} cannot rewrite a table that is in use, 19 and newer can: {alternatives}"


def refusals(tables: Iterable[Table], obstacles: Mapping[int, Obstacle]) -> list[str]:
    """Which tables cannot be rewritten while they are in use, each reason once."""
    names_by_reason = by_reason(
        (table.shown, _WORDS[obstacles[table.oid]]) for table in tables if table.oid in obstacles
    )
    return [f"{listed(names, 3)}: {why}" for why, names in names_by_reason.items()]


def repack_steps(tables: Iterable[Table]) -> list[PgStep]:
    spec = SPECS[Operation.REPACK]
    steps = [
        PgStep(
            object=table.shown,
            command=f"REPACK (CONCURRENTLY, ANALYZE, VERBOSE) {table.sql}",
            reason="rewritten because you asked; reads and writes go on",
            lock=spec.lock,
            after_cancel=spec.after_cancel,
            disk_needed=(table.pages + table.index_pages) * PAGE,
            conflict=table.shown,
            weight=weight(Model.REWRITE, table_subject(table)),
            method=Method.REPACK,
            model=Model.REWRITE,
            subject=table_subject(table),
        )
        for table in tables
    ]
    return longest_first(steps)


def log_warnings(steps: Sequence[PgStep], replication_state: Surroundings) -> list[str]:
    """About the write-ahead log, which the new tables are written to."""
    if not steps:
        return []
    written = size(sum(step.disk_needed or 0 for step in steps))
    found = []
    if replication_state.idle_slots:
        slots = listed(list(replication_state.idle_slots), 3)
        limit = (
            "" if replication_state.kept_at_most is None else f", up to {size(replication_state.kept_at_most)} in all"
        )
        found.append(f"inactive replication slots keep about {written} more of the log (WAL){limit}: {slots}")
    if replication_state.replicas:
        behind = (
            f", and {'the slowest' if replication_state.replicas > 1 else 'it'} is {size(replication_state.lag)} behind"
        )
        lag = behind if replication_state.lag is not None and replication_state.lag >= MUCH_LAG else ""
        found.append(
            f"{counted(replication_state.replicas, 'replica')} will have to receive up to {written} of the log{lag}"
        )
    return found
