"""What the names of objects in a request mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.targets.postgres.connection.names import qualified, quote, shown
from engine.targets.postgres.reading.relations import Index, PartitionedIndex, Table

Relation = Table | Index | PartitionedIndex

_KINDS: Final = {
    "v": "a view",
    "S": "a sequence",
    "c": "a type",
    "t": "a TOAST table",
    "temporary": "a temporary table or index of a session",
}


_QUOTED: Final = r'"(?:[^"]|"")+"'
_ITEM: Final = rf"""\s*(?:{_QUOTED}|[^\s",()](?:[^",()]*[^\s",()])?)\s*"""
_WITH_COLUMNS: Final = re.compile(rf"""(?P<table>(?:[^"(]|{_QUOTED})+)\((?P<columns>{_ITEM}(?:,{_ITEM})*)\)""")
_COLUMN: Final = re.compile(r"""\s*(?:"((?:[^"]|"")+)"|([^\s",](?:[^",]*[^\s",])?))\s*(?:,|$)""")


@frozen
class Other:
    """A relation for which there is no operation."""

    name: str
    schema: str
    kind: str
    table_schema: str
    """The schema of the table to which a TOAST table belongs; "" for others."""
    table: str

    @property
    def problem(self) -> UsageError:
        what = _KINDS.get(self.kind, "no table")
        why, hint = f"is {what}: nothing can be done to it", "name a table or an index"
        if self.table:
            hint = f"name its table: {shown(self.table_schema, self.table)}"
        if self.kind == "t":
            why = f"is the TOAST table of {shown(self.table_schema, self.table)}, and is maintained with it"
            hint += "; vacuum --no-process-main leaves that itself out"
        return UsageError(f"object {shown(self.schema, self.name)}", why, hint)


def names_of(schema: str, name: str) -> frozenset[str]:
    """The ways to write the name of a relation: `orders`, `shop.orders`, quoted or not."""
    return frozenset({name, quote(name), f"{schema}.{name}", shown(schema, name), qualified(schema, name)})


@frozen
class Chosen:
    """A relation that a request names."""

    relation: Relation
    columns: tuple[str, ...] = ()
    """The columns of a table that were named; none: all of it."""

    @property
    def shown(self) -> str:
        return f"{self.relation.shown}({', '.join(self.columns)})" if self.columns else self.relation.shown


def with_columns(name: str) -> tuple[str, tuple[str, ...]]:
    """The table and the columns of `orders(id, "Full name")`; no columns of a name without such a list."""
    if (found := _WITH_COLUMNS.fullmatch(name)) is None:
        return name, ()
    columns = (quoted.replace('""', '"') or plain for quoted, plain in _COLUMN.findall(found["columns"]))
    return found["table"].strip(), tuple(columns)


def unknown(objects: Sequence[str], relations: Sequence[Relation]) -> list[str]:
    """The names that are those of no relation here."""
    known = {name for relation in relations for name in names_of(relation.schema, relation.name)}
    return [name for name in objects if name not in known and with_columns(name)[0] not in known]


def not_here(name: str, database: str) -> UsageError:
    return UsageError(f"object {name}", f"is no table or index of {database}", "give SCHEMA.NAME, spelled exactly")


def chosen(objects: Sequence[str], relations: Sequence[Relation], schemas: Collection[str] = ()) -> list[Chosen]:
    """The relations that these names mean, in these schemas, if some are named. Raises UsageError."""
    by_name: dict[str, dict[int, Relation]] = {}
    for relation in relations:
        for name in names_of(relation.schema, relation.name):
            by_name.setdefault(name, {})[relation.oid] = relation
    found: dict[int, tuple[str, Chosen]] = {}
    for name in objects:
        table, columns = (name, ()) if name in by_name else with_columns(name)
        relation = _meant(name, list(by_name.get(table, {}).values()), schemas)
        if relation.oid in found:
            raise UsageError(f"object {name}", f"is named twice, also as {found[relation.oid][0]}", "name it once")
        if columns and not isinstance(relation, Table):
            raise UsageError(f"object {name}", "is an index, which has no list of columns", "name the index alone")
        found[relation.oid] = name, Chosen(relation, columns)
    return [one for _, one in found.values()]


def _meant(name: str, meant: Sequence[Relation], schemas: Collection[str]) -> Relation:
    if not meant:
        raise not_here(name, "the database")
    inside = [relation for relation in meant if not schemas or relation.schema in schemas]
    if not inside:
        of = listed(sorted({relation.schema for relation in meant}))
        why = f"is in schema {of}, not in {listed(sorted(schemas))}"
        raise UsageError(f"object {name}", why, "leave out --schema, or name another")
    if len(inside) > 1:
        only = [one.shown if one.shown != name else qualified(one.schema, one.name) for one in inside]
        raise UsageError(f"object {name}", f"may mean {listed(only)}", "give one of these names")
    return inside[0]
