"""The damage on record of each target."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from engine.domain.damage import Damage, DamageChange, DamageSource
from engine.store.damage_rows import COLUMNS, decoded_damage, encode_damage
from engine.store.rows import storable

DAMAGE: Final = f"""SELECT {", ".join(COLUMNS)} FROM damage
WHERE target IN (SELECT value FROM json_each(:targets)) ORDER BY found_at, object"""
ALL_DAMAGE: Final = f"SELECT {', '.join(COLUMNS)} FROM damage ORDER BY target, found_at, object"


def of_target(connection: sqlite3.Connection, target: str) -> tuple[Damage, ...]:
    """`target`: as it is stored."""
    rows = connection.execute(DAMAGE, {"targets": json.dumps([target])})
    return decoded_damage(rows).get(target, ())


OTHER_NAMES: Final = """SELECT o.target FROM database_name AS n JOIN database_name AS o USING (database)
WHERE n.target = ? AND o.target <> n.target"""
HAS_DAMAGED_SERVERS: Final = "SELECT EXISTS (SELECT 1 FROM damage WHERE target NOT LIKE 'sqlite:%')"
NAMES: Final = "SELECT target, database FROM database_name WHERE target = :target OR database = :database"


def name(connection: sqlite3.Connection, target: str, database: str) -> None:
    """A new URL of a database takes over the damage that is on record by its other URLs. A clean check by this URL ends
    it for this URL alone: a server may lie about its identity."""
    named = connection.execute(
        "INSERT INTO database_name VALUES (?, ?) ON CONFLICT (target) DO UPDATE SET database = excluded.database"
        " WHERE database <> excluded.database",
        (storable(target), storable(database)),
    )
    if named.rowcount:
        connection.execute(
            f"INSERT OR IGNORE INTO damage ({', '.join(COLUMNS)}) SELECT ?1, object, source, found_at, facts"
            f" FROM damage WHERE target IN ({OTHER_NAMES.replace('?', '?1')}) AND facts ->> '$.accepted_at' IS NULL"
            " ORDER BY target",
            (storable(target),),
        )


def save(connection: sqlite3.Connection, target: str, change: DamageChange) -> None:
    if not change:
        return
    name = storable(target)
    known = {one.key for one in of_target(connection, str(name))}
    connection.executemany(
        "DELETE FROM damage WHERE target = ? AND object = ? AND source = ?",
        [(name, storable(of), source) for of, source in change.ended],
    )
    connection.executemany(
        f"INSERT OR REPLACE INTO damage ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?)",
        [(name, *encode_damage(one)) for one in change.found],
    )
    new = [
        one
        for one in change.found
        if (one.key not in known or one.source is DamageSource.SERVER_LOST)
        and one.accepted_at is None
        and not one.is_repaired
    ]
    if new:
        others = connection.execute(OTHER_NAMES, (name,)).fetchall()
        connection.executemany(
            f"INSERT OR IGNORE INTO damage ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?)",
            [(other, *encode_damage(one)) for (other,) in others for one in new],
        )
