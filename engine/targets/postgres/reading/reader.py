"""Reads the catalog of a PostgreSQL database."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial
from typing import Any

import psycopg

from engine.domain.errors import TargetError, UsageError
from engine.domain.requests import Options
from engine.domain.steps import Facts
from engine.targets.answer_shapes import Shape
from engine.targets.catalog_reader import CatalogReader
from engine.targets.postgres.connection.bounded import AnswerError, Connection
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.connection.errors import CRASHED, lost_connection, reading_error
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading import names
from engine.targets.postgres.reading.relations import (
    Index,
    PartitionedIndex,
    Table,
    indexes_query,
    tables_query,
)


class Reader(CatalogReader[Connection, Server]):
    """The catalog of one database."""

    driver_error = psycopg.Error
    crashed_at: float | None = None
    """When the server last said, by the monotonic clock, that another of its processes has crashed."""
    _listening_on: Connection | None = None

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[Connection]:
        async with super().alone() as connection:
            if connection is not self._listening_on:
                connection.add_notice_handler(self._note_crash)
                self._listening_on = connection
            yield connection

    def _note_crash(self, notice: psycopg.errors.Diagnostic) -> None:
        """The server tells it to all sessions, as a warning, before it ends them."""
        if notice.sqlstate == CRASHED:
            self.crashed_at = time.monotonic()

    def error(self, error: psycopg.Error) -> TargetError:
        return reading_error(self.what, error)

    def is_lost(self, error: psycopg.Error) -> bool:
        return lost_connection(error)

    async def facts(self, on: Connection | None = None) -> Facts:
        """`on`: another connection to the database. Raises TargetError."""
        row = (int, int, int, int)
        with self.telling():
            size, tables, dead_rows, xid_age = await (on.row if on is not None else self.row_or_error)(
                query("facts"), row=row
            )
        return {"size": size, "tables": tables, "dead_rows": dead_rows, "xid_age": xid_age}

    async def tables(self, *, measured: bool = False) -> list[Table]:
        """`measured`: see `tables_query`."""
        return [Table(*row) for row in await self._relations(Table, tables_query, measured=measured)]

    async def indexes(self, *, measured: bool = False) -> list[Index]:
        return await self._without_finished_builds(await self._relations(Index, indexes_query, measured=measured))

    async def tables_by_oid(self, oids: Collection[int]) -> list[Table]:
        """Measured, too, as are the indexes."""
        return [Table(*row) for row in await self._relations(Table, tables_query, oids=oids)]

    async def indexes_by_oid_or_invalid(self, oids: Collection[int]) -> list[Index]:
        return await self._without_finished_builds(await self._relations(Index, indexes_query, oids=oids))

    async def unfinished(self, oids: Collection[int]) -> dict[int, bool]:
        """Whether each existing index is invalid and no session works on it, by oid. Raises TargetError."""
        return dict(await self.rows(query("unfinished_indexes"), [list(oids)], row=(int, bool)))

    async def _without_finished_builds(self, rows: Sequence[tuple[Any, ...]]) -> list[Index]:
        """The indexes, without those whose build ended while they were read: they look invalid,
        and not in work."""
        found = [Index(*row) for row in rows]
        invalid = [index.oid for index in found if not index.is_valid]
        unfinished = await self.unfinished(invalid) if invalid else {}
        return [index for index in found if index.is_valid or unfinished.get(index.oid)]

    async def _relations(
        self, row: Shape, query: Callable[..., str], *, oids: Collection[int] | None = None, measured: bool = True
    ) -> list[tuple[Any, ...]]:
        some, parameters = oids is not None, {} if oids is None else {"oids": list(oids)}
        if measured:
            try:
                measuring = query(self.server.version, some=some, measured=True)
                return await self.rows_or_error(measuring, parameters, row=row)
            except AnswerError as error:
                raise self.error(error) from None
            except psycopg.Error:  # a table may have been locked this moment
                pass
        return await self.rows(query(self.server.version, some=some), parameters, row=row)

    async def by_name_only(self) -> list[names.Relation]:
        """Relations that no operation works on unless they are named: foreign tables, and partitioned indexes."""
        foreign = [
            Table(*row) for row in await self._relations(Table, partial(tables_query, foreign=True), measured=False)
        ]
        indexes = await self.rows(query("partitioned_indexes"), row=PartitionedIndex)
        return [*foreign, *(PartitionedIndex(*row) for row in indexes)]

    async def require(self, options: Options) -> None:
        """Raise UsageError for a name that is no table, index, column or schema of the database, or means several."""
        objects, schemas = options.objects, options.server.schemas
        if wanted := (*schemas, *options.server.exclude_schemas):
            known = {name for (name,) in await self.rows(query("schemas"), row=(str,))}
            for schema in wanted:
                if schema not in known:
                    raise UsageError(
                        f"schema {schema}", f"is not in {self.server.database}", "list them with psql's \\dn"
                    )
        if objects:
            relations = [*await self.tables(), *await self.indexes(), *await self.by_name_only()]
            if missing := names.unknown(objects, relations):
                for other in (names.Other(*row) for row in await self.rows(query("other_relations"), row=names.Other)):
                    if not names.names_of(other.schema, other.name).isdisjoint(missing):
                        raise other.problem
                raise names.not_here(missing[0], self.server.database)
            for one in names.chosen(objects, relations, schemas):
                await self._require_columns(one)

    async def _require_columns(self, chosen: names.Chosen) -> None:
        known = await self.rows(query("columns"), [chosen.relation.oid], row=(str,)) if chosen.columns else []
        for column in chosen.columns:
            if (column,) not in known:
                raise UsageError(f"object {chosen.shown}", f"has no column {column}", "list them with psql's \\d")
