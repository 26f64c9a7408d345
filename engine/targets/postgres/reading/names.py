"""What the names of objects in a request mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.targets.postgres.connection.names import qualified, shown
from engine.targets.postgres.reading.relations import Index, Table

Relation = Table | Index

# All that has a name of a relation, and is neither a table nor an index that operations go by.
OTHERS: Final = """
SELECT c.relname, n.nspname, CASE WHEN c.relpersistence = 't' THEN 'temporary' ELSE c.relkind::text END,
    coalesce(mn.nspname, ''), coalesce(main.relname, '')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_index AS x ON x.indexrelid = c.oid
LEFT JOIN pg_class AS main ON main.reltoastrelid = c.oid OR main.oid = x.indrelid
LEFT JOIN pg_namespace AS mn ON mn.oid = main.relnamespace
WHERE c.relkind NOT IN ('r', 'm', 'p', 'i') OR c.relpersistence = 't'
"""
_KINDS: Final = {
    "v": "a view",
    "S": "a sequence",
    "f": "a foreign table",
    "c": "a type",
    "t": "a TOAST table",
    "I": "a partitioned index",
    "temporary": "a temporary table or index of a session",
}


@frozen
class Other:
    """A relation for which there is no operation."""

    name: str
    schema: str
    kind: str
    table_schema: str
    """Of a TOAST table, or a partitioned index, the table that it belongs to; empty for others."""
    table: str

    @property
    def problem(self) -> UsageError:
        what = _KINDS.get(self.kind, "no table")
        hint = "name a table or an index"
        if self.table:
            hint = f"name its table: {shown(self.table_schema, self.table)}"
        return UsageError(f"object {shown(self.schema, self.name)}", f"is {what}: nothing can be done to it", hint)


def names_of(schema: str, name: str) -> frozenset[str]:
    """As it may be written: `orders`, `shop.orders`, quoted or not."""
    return frozenset({name, f"{schema}.{name}", shown(schema, name), qualified(schema, name)})


def unknown(objects: Sequence[str], relations: Sequence[Relation]) -> list[str]:
    """Those names that are none of these."""
    known = {name for relation in relations for name in names_of(relation.schema, relation.name)}
    return [name for name in objects if name not in known]


def chosen(objects: Sequence[str], relations: Sequence[Relation], schemas: Collection[str] = ()) -> list[Relation]:
    """The relations that these names mean, all of them in these schemas, where some are named. Raises UsageError."""
    by_name: dict[str, dict[int, Relation]] = {}
    for relation in relations:
        for name in names_of(relation.schema, relation.name):
            by_name.setdefault(name, {})[relation.oid] = relation
    found: dict[int, tuple[str, Relation]] = {}
    for name in objects:
        relation = _meant(name, list(by_name.get(name, {}).values()), schemas)
        if relation.oid in found:
            raise UsageError(f"object {name}", f"is named twice, also as {found[relation.oid][0]}", "name it once")
        found[relation.oid] = name, relation
    return [relation for _, relation in found.values()]


def _meant(name: str, meant: Sequence[Relation], schemas: Collection[str]) -> Relation:
    if not meant:
        raise UsageError(f"object {name}", "is no table or index of the database", "give SCHEMA.NAME, spelled exactly")
    inside = [relation for relation in meant if not schemas or relation.schema in schemas]
    if not inside:
        of = listed(sorted({relation.schema for relation in meant}))
        why = f"is in schema {of}, not in {listed(sorted(schemas))}"
        raise UsageError(f"object {name}", why, "leave out --schema, or name another")
    if len(inside) > 1:
        names = listed([relation.shown for relation in inside])
        raise UsageError(f"object {name}", f"may mean {names}", "give SCHEMA.NAME")
    return inside[0]
