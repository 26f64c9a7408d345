"""Rewrites of tables that are in use by the client of pg_repack, before PostgreSQL 19. Pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from engine.domain.humanize import listed
from engine.domain.requests import Operation
from engine.targets.lock_impact import BLOCKS_EVERYONE_BRIEFLY
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.planning.costs import STEP_OVERHEAD, weight
from engine.targets.postgres.planning.repack_steps import repack_steps
from engine.targets.postgres.planning.steps import Method, Model, PgStep, table_subject
from engine.targets.postgres.reading.relations import Table
from engine.targets.postgres.reading.repack_client import PROGRAM, Client, Extension, drop_command

_ARGUMENTS: Final = ("--no-kill-backend", "--no-order")
_RENEWED: Final = "DROP EXTENSION pg_repack CASCADE, then CREATE EXTENSION pg_repack"


def unable(server: Server, extension: Extension, clients: Iterable[Client]) -> str:
    """Why pg_repack cannot run for this database from this host, and what to do; "" if it can."""
    if not server.is_superuser:
        return f"pg_repack needs a superuser, and {server.user} is none"
    if extension.problem:
        return f"pg_repack is in this database, but the server cannot run it: {extension.problem}"
    if extension.library != extension.sql:
        versions = f"{extension.sql} and the server's library {extension.library}"
        return f"pg_repack in this database is {versions}: {_RENEWED} makes them equal"
    if server.is_pooled:
        return "pg_repack needs the server itself, and this address leads to a pooler: give the server's own address"
    if extension.publication is not None:
        return f"pg_repack cannot work beside a publication FOR ALL TABLES: {extension.publication}"
    versions = listed(sorted({client.version for client in clients}))
    if versions and client_of(extension, clients) is None:
        return (
            f"pg_repack in this database is {extension.sql}, and its client here {versions}: install the same version"
        )
    if not versions:
        package = f"postgresql-{server.version // 10_000}-repack on Debian"
        return (
            f"this database has pg_repack {extension.sql}, but its client is not on this host: install it ({package})"
        )
    return ""


def client_of(extension: Extension, clients: Iterable[Client]) -> Client | None:
    """The one of the same version as the extension: it refuses every other."""
    return next((client for client in clients if client.version == extension.sql), None)


def on_another_host(tables: Iterable[Table], database: str) -> str:
    """How pg_repack is run for these tables where its client is."""
    return f"On a host with its client: {shlex.join([PROGRAM, *_arguments(tables), database])}"


def pg_repack_steps(tables: Sequence[Table], client: Client, leftovers: Collection[int], database: str) -> list[PgStep]:
    """`leftovers`: oids of tables where an interrupted pg_repack left something."""
    by_oid = {table.oid: table for table in tables}
    steps = []
    for step in repack_steps(tables):
        assert step.subject is not None, "a rewrite has a table"  # noqa: S101 - a bug
        table = by_oid[step.subject.oid]
        first = "what an interrupted pg_repack left is dropped first; " if table.oid in leftovers else ""
        pg_repack = replace(
            step,
            command=shlex.join([PROGRAM, *_arguments([table]), database]),
            program=(client.path, *_arguments([table])),
            reason=first + step.reason,
            conflict=PROGRAM,  # each waits for the transactions of the other
            weight=weight(Model.PG_REPACK, table_subject(table)),
            method=Method.PG_REPACK,
            model=Model.PG_REPACK,
        )
        steps.append(pg_repack)
    return steps


def drop_steps(tables: Sequence[Table], server: Server) -> tuple[list[PgStep], list[str]]:
    """Steps that drop what an interrupted pg_repack left of these tables; without them, why the role may not."""
    if tables and not server.is_superuser:
        names = listed([table.shown for table in tables], 3)
        return [], [f"what pg_repack left at {names}: {server.user} may not drop it, a superuser may"]
    steps = [
        PgStep(
            object=table.shown,
            operation=Operation.CLEAN_LEFTOVERS,
            command=drop_command(table.oid),
            reason="an interrupted pg_repack left its trigger, its log or its copy: each write makes the log longer",
            lock=BLOCKS_EVERYONE_BRIEFLY,
            after_cancel="trigger and log stay",
            conflict=table.shown,
            weight=STEP_OVERHEAD,
            method=Method.DROP_PG_REPACK,
            is_measured=False,
            subject=table_subject(table),
        )
        for table in tables
    ]
    return steps, []


def of_dropped_tables(leftovers: Collection[int], tables: Iterable[Table]) -> list[str]:
    """What an interrupted pg_repack left of tables that no longer exist: no run of it removes that."""
    gone = sorted(set(leftovers) - {table.oid for table in tables})
    if not gone:
        return []
    names = listed([f"repack.log_{oid}" for oid in gone], 3)
    return [f"an interrupted pg_repack left {names}, and their table is gone: {_RENEWED} removes them"]


def _arguments(tables: Iterable[Table]) -> list[str]:
    return [*_ARGUMENTS, *(f"--table={table.sql}" for table in tables)]
